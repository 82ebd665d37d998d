"""Models of Keras 3 with LSTM, GRU or SimpleRNN layers, from the files that Keras writes."""

import io
from pathlib import Path

from zoo.converters.arrays import Group, hdf5, zip_members
from zoo.converters.keras_config import IDLE, KNOWN, POOLING, RECURRENT, SUPPORTED, Layer, chain, unsupported
from zoo.converters.text_models import Layers, text_model
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint

GROUPS = {
    "LSTM": "lstm",
    "GRU": "gru",
    "SimpleRNN": "simple_rnn",
    "GlobalMaxPooling1D": "global_max_pooling1d",
    "GlobalAveragePooling1D": "global_average_pooling1d",
    "TimeDistributed": "time_distributed",
    "InputLayer": "input_layer",
    "SpatialDropout1D": "spatial_dropout1d",
    "GaussianDropout": "gaussian_dropout",
    "GaussianNoise": "gaussian_noise",
}  # what Keras calls layers in its HDF5 files; other classes by their names in lower case
VARIABLES = {
    "Embedding": ("vars", ["embeddings"]),
    **dict.fromkeys(RECURRENT, ("cell/vars", ["kernel", "recurrent_kernel", "bias"])),
    "Dense": ("vars", ["kernel", "bias"]),
    "TimeDistributed": ("layer/vars", ["kernel", "bias"]),
}  # in which group below a layer's, and in which order; there may be no bias
FOLLOWERS = {
    None: ("Embedding",),
    "Embedding": tuple(RECURRENT),
    **{kind: (kind, *POOLING, "Dense", "TimeDistributed") for kind in RECURRENT},
    **dict.fromkeys(POOLING, ("Dense",)),
    **dict.fromkeys(("Dense", "TimeDistributed"), ("Dense", "TimeDistributed", "Activation")),
    "Activation": ("Dense", "TimeDistributed"),
}  # what may stand after a layer


def keras_lstm(path, vocabulary=None, labels=None):
    """A model of the zoo from a `.keras` or `.weights.h5` file of Keras 3.

    The file's model must be a chain of layers, Sequential or functional: Embedding; LSTM, GRU or SimpleRNN layers, all
    of one kind and size; Dense. With as many outputs as tokens it becomes a language model. With labels it becomes a
    classifier: the last hidden state or a global pooling, perhaps a Dense layer with ReLU, then softmax, or sigmoid
    for one output, which becomes two labels.

    For the same tokens the outputs are the same, up to rounding. Three things are beyond the file. Keras' models are
    often fed with padding; here every text is read as long as it is, which is what `mask_zero=True` computes. Rates of
    dropout stay behind: they act in training only, and mean other things here (one mask for all timesteps). And where
    padding and "[UNK]" are both tokens, a language model gives up the probability of padding.

    A `.weights.h5` file says nothing about options: they are taken for Keras' defaults, without `mask_zero`. It cannot
    have two Dense layers, since the activation between them is not in it. Prefer `.keras`.

    Args:
        path: the file.
        vocabulary: a list with the tokens in the order of their ids, or a dict from token to id; tokens are single
            characters, `"[UNK]"` for unknown ones and `""` for padding. None for 256 tokens: bytes of UTF-8.
        labels: list of str, for classifiers.

    Returns:
        A `zoo.models.LanguageModel` or a `zoo.models.Classifier`.

    Raises:
        ValueError: vocabulary or labels are missing, or do not fit the file.
        IncompatibleCheckpoint: the file's model has something that the zoo has not; says which layer.
        UnsafeCheckpoint: the file is damaged, or not what Keras writes.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"\x89HDF\r\n\x1a\n":
            groups = _groups(path, file)
            names = _chain_of_weights(path, groups)
        elif start.startswith(b"PK"):
            members = zip_members(path, wanted=("config.json", "model.weights.h5"))
            if len(members) != 2:
                raise UnsafeCheckpoint(path, "it lacks config.json or model.weights.h5, which every .keras file has")
            groups = _groups(path, io.BytesIO(members["model.weights.h5"]))
            names = _named(chain(path, members["config.json"]))
        else:
            raise UnsafeCheckpoint(path, "it is neither a .keras nor a .weights.h5 file")
    return text_model(path, _layers(path, names, groups), vocabulary, labels)


def _groups(path, file):
    """The groups of the layers in a HDF5 file, by name."""
    layers = hdf5(path, file, only=["layers"]).members.get("layers")
    if not isinstance(layers, Group):
        raise IncompatibleCheckpoint(
            f"{path} has no layers where Keras 3 writes them. If you trust the file, open it with "
            'keras.models.load_model, or with load_weights in its model, call save("model.keras"), and convert that.'
        )
    return layers.members


def _named(layers):
    """Pairs of the layers and the names of their groups: those of one class are numbered."""
    counts, named = {}, []
    for layer in layers:
        number = counts[layer.kind] = counts.get(layer.kind, -1) + 1
        name = GROUPS.get(layer.kind, layer.kind.lower())
        named.append((layer, f"{name}_{number}" if number else name))
    return named


def _chain_of_weights(path, groups):
    """As `_named`, where there are only the groups: in the order that layers have in every model that is known."""
    named = _named(Layer(kind, kind, {}) for kind in KNOWN for _ in groups)
    named = [(Layer(name, layer.kind, {}), name) for layer, name in named if name in groups]
    strange = sorted(groups.keys() - {name for _, name in named})
    if strange:
        raise unsupported(path, strange[0], "is of a class that is not known here")
    if sum(layer.kind in ("Dense", "TimeDistributed") for layer, _ in named) > 1:
        raise IncompatibleCheckpoint(
            f"{path} has two Dense layers, and weights do not tell the activation between them. Save the whole model "
            'with save("model.keras") and convert that.'
        )
    return named


def _layers(path, named, groups):
    """What the chain is made of, a `Layers`."""
    embedding, recurrent, cells, dense, activations, pooling, masks_zero = None, None, [], [], [], "last", False
    previous = None
    for layer, group in named:
        if layer.kind in IDLE:
            continue
        if layer.kind not in FOLLOWERS[previous]:
            before = f"after a {previous}" if previous else "first"
            raise unsupported(path, layer.name, f"({layer.kind}) cannot stand {before}")
        previous = layer.kind
        arrays = _arrays(path, layer, groups.get(group))
        if layer.kind == "Embedding":
            embedding, masks_zero = arrays["embeddings"], layer.options.get("mask_zero") is True
        elif layer.kind in RECURRENT:
            recurrent, pooling = RECURRENT[layer.kind], None if layer.options.get("return_sequences") else "last"
            cells.append(arrays)
        elif layer.kind in POOLING:
            pooling = POOLING[layer.kind]
        elif layer.kind == "Activation":
            if activations[-1] != "linear":
                raise unsupported(path, layer.name, "(Activation) is the second after one Dense")
            activations[-1] = layer.options.get("activation", "linear")
        else:
            dense.append(arrays)
            activations.append(layer.options.get("activation", "linear"))
    if not dense:
        raise IncompatibleCheckpoint(f"{path} cannot be converted: it does not end with Dense. {SUPPORTED}")
    *hidden, last = activations
    single = dense[-1]["kernel"].shape[-1:] == (1,)
    if set(hidden) - {"relu"} or last not in ("linear", "sigmoid" if single else "softmax"):
        raise IncompatibleCheckpoint(
            f"{path} cannot be converted: the activations of its Dense layers are {', '.join(activations)}. {SUPPORTED}"
        )
    return Layers(embedding, recurrent, cells, dense, pooling, masks_zero)


def _arrays(path, layer, group):
    """The arrays of a layer by name."""
    if layer.kind not in VARIABLES:
        return {}
    place, names = VARIABLES[layer.kind]
    for name in place.split("/"):
        group = group.members.get(name) if isinstance(group, Group) else None
    found = group.members if isinstance(group, Group) else {}
    arrays = {name: found.get(str(i)) for i, name in enumerate(names) if name != "bias" or str(i) in found}
    for array in arrays.values():
        if array is None or isinstance(array, Group) or len(found) != len(arrays):
            raise UnsafeCheckpoint(
                path, f"the weights of {layer.name!r:.80} ({layer.kind}) are not as Keras 3 writes them"
            )
    return arrays
