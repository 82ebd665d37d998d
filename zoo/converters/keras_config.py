"""What the `config.json` of a `.keras` file says of a chain of layers: data to compare with what is known, never code.

`keras.models.load_model` builds whatever classes and functions a file names; nothing here is built from a name.
"""

from typing import NamedTuple

from zoo import strict_json
from zoo.converters.arrays import refusing
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint

LARGEST = 2**24  # bytes
RECURRENT = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}  # as the zoo calls them
POOLING = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}
IDLE = ("InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise")  # outside training
KNOWN = ("Embedding", *RECURRENT, *POOLING, "Dense", "TimeDistributed", "Activation", *IDLE)

_LOOP = {"activation": ("tanh",), "go_backwards": (False,), "return_state": (False,)}
_ACTIVATIONS = {"activation": ("linear", "relu", "softmax", "sigmoid")}
OPTIONS = {
    "LSTM": {**_LOOP, "recurrent_activation": ("sigmoid",)},
    "GRU": {**_LOOP, "recurrent_activation": ("sigmoid",), "reset_after": (True,)},
    "SimpleRNN": _LOOP,
    "Dense": _ACTIVATIONS,
    "Activation": _ACTIVATIONS,
    **dict.fromkeys(POOLING, {"data_format": ("channels_last",), "keepdims": (False,)}),
}  # the values that can be converted; the first is taken where the file says nothing
SUPPORTED = (
    "Supported: a chain of Embedding; LSTM, GRU or SimpleRNN layers of one kind and size with Keras' default "
    "activations; GlobalMaxPooling1D or GlobalAveragePooling1D; Dense with relu; Dense with softmax, with sigmoid for "
    "one output, or linear; Dropout anywhere. Rebuild the model of these in Keras, give it the weights, and save that."
)

_LAYER_SCHEMA = {
    "type": "object",
    "required": ["class_name", "config"],
    "properties": {
        "class_name": strict_json.TEXT,
        "config": {"type": "object", "required": ["name"], "properties": {"name": strict_json.TEXT}},
    },
}
SCHEMA = {
    "type": "object",
    "required": ["class_name", "config"],
    "properties": {
        "class_name": strict_json.TEXT,
        "config": {
            "type": "object",
            "properties": {"layers": {"type": "array", "maxItems": 1000, "items": _LAYER_SCHEMA}},
        },
    },
}


class Layer(NamedTuple):
    """A layer of the chain."""

    name: str
    kind: str  # one of KNOWN
    options: dict


def chain(path, data):
    """The layers of a model one after another, a list of `Layer`s.

    Args:
        path: for the messages.
        data: bytes of `config.json`.

    Raises:
        UnsafeCheckpoint: it is not such JSON as Keras writes.
        IncompatibleCheckpoint: a layer, or an option of one, is not known here, or the layers are no chain.
    """
    with refusing(path):  # deep nesting included
        if len(data) > LARGEST:
            raise ValueError(f"its config.json has more than {LARGEST:,} bytes")
        record = strict_json.parse(data, SCHEMA)
        kind, config = record["class_name"], record["config"]
        if kind not in ("Sequential", "Functional"):
            raise IncompatibleCheckpoint(
                f"{path} cannot be converted: it is a model of the class {kind!r:.80}, and only those of Sequential "
                f"and functional models say what they do. {SUPPORTED}"
            )
        records = config.get("layers", [])
        masks = _masks(records) if kind == "Functional" else []
        records = [record for record in records if record["config"]["name"] not in masks]
        layers = [_layer(path, record) for record in records]
        if kind == "Functional":
            _check_chain(path, config, records, masks)
        return layers


def _layer(path, record):
    """The `Layer` of its JSON, if it is known."""
    name, kind, options = record["config"]["name"], record["class_name"], record["config"]
    if record.get("module") != "keras.layers" or kind not in KNOWN:
        raise unsupported(path, name, f"is of the class {kind}")
    if kind == "TimeDistributed":
        inner = options.get("layer")
        if not isinstance(inner, dict) or inner.get("class_name") != "Dense" or inner.get("module") != "keras.layers":
            raise unsupported(path, name, "is TimeDistributed, but not of Dense")
        options = inner.get("config")
        if not isinstance(options, dict):
            raise UnsafeCheckpoint(path, f"the layer {name!r:.80} has no configuration")
    for key, allowed in OPTIONS.get("Dense" if kind == "TimeDistributed" else kind, {}).items():
        value = options.get(key, allowed[0])
        if value not in allowed:
            choice = " or ".join(map(repr, allowed))
            raise unsupported(path, name, f"({kind}) has {key}={value!r:.80}, and only {choice} can be converted")
    return Layer(name, kind, options)


def unsupported(path, name, problem):
    return IncompatibleCheckpoint(f"{path} cannot be converted: its layer {name!r:.80} {problem:.200}. {SUPPORTED}")


def _masks(records):
    """The names of the layers by which functional models write the mask of an Embedding with `mask_zero`."""
    names = [record["config"]["name"] for record in records]
    if not any(record["class_name"] == "Embedding" and record["config"].get("mask_zero") is True for record in records):
        return []
    mask = [[names[0], 0, 0], 0], {}  # the tokens, compared with 0
    operations = [(name, record) for name, record in zip(names, records) if record["class_name"] == "NotEqual"]
    return [name for name, record in operations if _call(record) == mask]


def _check_chain(path, config, records, masks):
    """Each layer of a functional model must be called once, on the output of the one before, perhaps with the mask."""
    names = [record["config"]["name"] for record in records]
    idle = (None, False, *([mask, 0, 0] for mask in masks))
    for previous, name, record in zip(names, names[1:], records[1:]):
        tensors, options = _call(record)
        if tensors != [[previous, 0, 0]] or any(value not in idle for value in options.values()):
            raise unsupported(path, name, "is not called once, on the output of the layer before it and nothing else")
    if not names or config.get("output_layers") not in ([names[-1], 0, 0], [[names[-1], 0, 0]]):
        raise IncompatibleCheckpoint(f"{path} cannot be converted: its last layer is not its one output. {SUPPORTED}")


def _call(record):
    """The arguments of a layer's one call, by position and by name; tensors as `[layer, call, output]`."""
    nodes = record["inbound_nodes"]
    if len(nodes) != 1:
        return [], {}
    return [_plain(value) for value in nodes[0]["args"]], {k: _plain(v) for k, v in nodes[0]["kwargs"].items()}


def _plain(value):
    tensor = isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"
    return value["config"]["keras_history"] if tensor else value
