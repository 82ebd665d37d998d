"""The peephole LSTM of TensorFlow Addons, from weights files of Keras 2 or arrays of NumPy."""

from pathlib import Path

import numpy as np

from zoo import strict_json
from zoo.converters.arrays import hdf5, npz, refusing
from zoo.converters.text_models import Layers, text_model
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint
from zoo.layers import PeepholeLSTM

PEEPHOLES = [f"{gate}_gate_peephole_weights" for gate in ("input", "forget", "output")]
CELL = ["kernel", "recurrent_kernel", "bias", *PEEPHOLES]  # in the order of both


def addons_peephole(path, **options):
    """A layer with the weights of the one `tfa.rnn.PeepholeLSTMCell` in a file.

    The equations are those of `zoo.layers.PeepholeLSTM`: input and forget gate see c[t-1], the output gate c[t], and
    the gates stand in the order i, f, c, o. That holds for the activations that Addons' cell has by default, tanh and
    sigmoid; weights alone do not tell of others. `tf.keras.experimental.PeepholeLSTMCell`, with the same names, has
    hard_sigmoid by default: do not convert that.

    Args:
        path: an `.h5` file written by `save_weights` or `save` of Keras 2; or an `.npz` file of the arrays by name, as
            `numpy.savez(file, **{w.name: w.numpy() for w in layer.weights})` writes it.
        options: of `zoo.layers.PeepholeLSTM`, such as `return_sequences=True`.

    Returns:
        A built `zoo.layers.PeepholeLSTM`.

    Raises:
        IncompatibleCheckpoint: there is no such cell in the file, there are several, or its activations are others.
        UnsafeCheckpoint: the file is damaged, or not plain arrays.
    """
    path = Path(path)
    cells = [arrays for arrays in _layers(path) if "recurrent_kernel" in arrays]
    if len(cells) != 1:
        raise IncompatibleCheckpoint(
            f"{path} has {len(cells)} peephole cells, wanted is one. Convert a whole model with addons_model(path)."
        )
    features, units = len(cells[0]["kernel"]), len(cells[0]["recurrent_kernel"])
    cell = {"bias": np.zeros(4 * units, "float32"), **cells[0]}
    shapes = [(features, 4 * units), (units, 4 * units), (4 * units,), *[(units,)] * 3]
    for name, shape in zip(CELL, shapes):
        if cell[name].shape != shape:
            raise UnsafeCheckpoint(path, f"the shape of {name} should be {shape}, it is {cell[name].shape}")
    layer = PeepholeLSTM(units, **options)
    layer.build((None, None, features))
    layer.set_weights([cell[name] for name in CELL])
    return layer


def addons_model(path, vocabulary=None, labels=None):
    """A model of the zoo from a file with an embedding, one or more peephole cells and one dense layer, the output.

    What weights do not tell is taken for granted: the layers stand in this order, with labels the last output of the
    cells counts, and the output has softmax, with a single unit sigmoid, or leaves that to its loss. See
    `addons_peephole` for files and activations, and `zoo.converters.keras_lstm` for the other arguments, errors, and
    what is returned.
    """
    path = Path(path)
    layers = _layers(path)
    embeddings = [arrays["embeddings"] for arrays in layers if "embeddings" in arrays]
    cells = [arrays for arrays in layers if "recurrent_kernel" in arrays]
    dense = [arrays for arrays in layers if arrays.keys() <= {"kernel", "bias"}]
    if len(embeddings) != 1 or not cells or len(dense) != 1:
        raise IncompatibleCheckpoint(
            f"{path} has {len(embeddings)} embeddings, {len(cells)} peephole cells and {len(dense)} dense layers. "
            "Wanted are one embedding, one or more cells and one dense layer. For a bare cell use "
            "zoo.converters.addons_peephole(path) in Python."
        )
    return text_model(path, Layers(embeddings[0], "peephole", cells, dense), vocabulary, labels)


def _layers(path):
    """The arrays of each layer by name, in the order of the file, all of them of a kind that is known."""
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"\x89HDF\r\n\x1a\n":
            arrays = _arrays_of_keras_2(path, hdf5(path, file))
        elif start.startswith(b"PK"):
            arrays = npz(path)
        else:
            raise UnsafeCheckpoint(
                path, "it is neither HDF5 nor .npz; with Addons, model.save_weights('weights.h5') writes such a file"
            )
    layers = {}
    for name, array in arrays.items():
        layer, _, variable = name.removesuffix(":0").rpartition("/")
        layers.setdefault(layer, {})[variable] = array
    for name, found in layers.items():
        if any(part.startswith(("forward_", "backward_")) for part in name.split("/")):
            raise IncompatibleCheckpoint(
                f"{path}: {name!r:.80} is half of a Bidirectional layer; models of the zoo read in one direction. "
                "Convert a model that does so, too."
            )
        if not any(found.keys() | {"bias"} == set(kind) | {"bias"} for kind in (["embeddings"], ["kernel"], CELL)):
            raise IncompatibleCheckpoint(
                f"{path}: the layer {name!r:.80} has the weights {', '.join(map(repr, found))[:200]}. Supported: "
                f"Embedding, tfa.rnn.PeepholeLSTMCell with all of {', '.join(CELL)}, and Dense."
            )
    return list(layers.values())


def _arrays_of_keras_2(path, root):
    """The arrays by name, in the order of Keras 2: `layer_names` and `weight_names` are attributes of the groups."""
    for text in root.attributes.get("model_config", []):
        with refusing(path):  # deep nesting included
            _check_activations(path, strict_json.parse(text.encode(), {}))
    weights = root.members.get("model_weights", root)
    found = {}
    try:
        for layer in weights.attributes["layer_names"]:
            group = weights.members[layer]
            for name in group.attributes["weight_names"]:
                member = group
                for part in name.split("/"):
                    member = member.members[part]
                found[name] = member
        if any(not isinstance(member, np.ndarray) for member in found.values()):
            raise KeyError("a weight is not an array of floats")
    except (KeyError, AttributeError) as error:
        raise UnsafeCheckpoint(path, f"it is not laid out as Keras 2 does: {error}") from None
    return found


def _check_activations(path, value):
    """Every cell in a configuration must have the activations of the zoo, and read forwards."""
    if isinstance(value, dict):
        if "recurrent_activation" in value:
            activations = value.get("activation"), value["recurrent_activation"]
            if activations != ("tanh", "sigmoid"):
                raise IncompatibleCheckpoint(
                    f"{path} has a cell with the activations {activations!r:.100}; those of the zoo are tanh and "
                    "sigmoid. Train it anew with those."
                )
        if value.get("go_backwards"):
            raise IncompatibleCheckpoint(f"{path} has a layer with go_backwards=True; models of the zoo read forwards.")
        value = list(value.values())
    for entry in value if isinstance(value, list) else ():
        _check_activations(path, entry)
