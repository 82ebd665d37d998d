"""The sentiment neuron, from the arrays that OpenAI published."""

from pathlib import Path

import numpy as np

from zoo.converters.arrays import finite, refusing
from zoo.errors import UnsafeCheckpoint
from zoo.models import LanguageModel, LanguageModelConfig
from zoo.tokenizers import ByteTokenizer

LARGEST = 2**30  # bytes of one array; the largest of the 4,096-unit model has 256 MiB


def openai_mlstm(folder):
    """The sentiment neuron of Radford et al. 2017, from the arrays `0.npy` to `14.npy` that were published with it.

    In order: the embedding; `wx`; `wh` in four parts, side by side; `wmx`; `wmh`; `b`; the gains `gx`, `gh`, `gmx`
    and `gmh` of the weight normalisation, which is multiplied out here; weights and bias of the softmax over bytes.
    OpenAI's gates stand in the order i, f, o, u, ours in that of Keras: i, f, c, o.

    Args:
        folder: with the fifteen files.

    Returns:
        A `zoo.models.LanguageModel` on bytes, 4,096 units in OpenAI's case.

    Raises:
        FileNotFoundError: one of the files is missing.
        UnsafeCheckpoint: a file is not a plain array of numbers, too large, not finite, or of another shape than the
            others imply.
    """
    folder = Path(folder)
    paths = [folder / f"{i}.npy" for i in range(15)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)} of OpenAI's fifteen arrays 0.npy to 14.npy.")
    arrays = [_array(path) for path in paths]
    embedding, wx, *wh, wmx, wmh, b, gx, gh, gmx, gmh, w, bias = arrays
    if embedding.ndim != 2 or wmh.ndim != 2:
        raise UnsafeCheckpoint(paths[0 if embedding.ndim != 2 else 7], "it is not a matrix")
    (vocabulary_size, size), units = embedding.shape, len(wmh)
    expected = [
        (ByteTokenizer.vocabulary_size, size), (size, 4 * units), *[(units, units)] * 4, (size, units), (units, units),
        (4 * units,), (4 * units,), (4 * units,), (units,), (units,), (units, vocabulary_size), (vocabulary_size,),
    ]  # fmt: skip
    for path, array, shape in zip(paths, arrays, expected):
        if array.shape != shape:
            raise UnsafeCheckpoint(path, f"its shape should be {shape}, it is {array.shape}")
    config = LanguageModelConfig(vocabulary_size, "mlstm", units=units, embedding_size=size)
    model = LanguageModel(config, ByteTokenizer("review"))
    values = {
        "embedding/embeddings": embedding,
        "recurrent_0/kernel": _gates(_folded(wx, gx)),
        "recurrent_0/recurrent_kernel": _gates(_folded(np.concatenate(wh, axis=1), gh)),
        "recurrent_0/bias": _gates(b),
        "recurrent_0/multiplicative_kernel": _folded(wmx, gmx),
        "recurrent_0/multiplicative_recurrent_kernel": _folded(wmh, gmh),
        "output/kernel": w,
        "output/bias": bias,
    }
    for name, weight in model.named_weights().items():
        weight.assign(values[name])
    return model


def _folded(kernel, gain):
    """Each column's direction times its gain."""
    return kernel / np.sqrt(np.maximum(np.square(kernel).sum(axis=0), 1e-12)) * gain


def _gates(array):
    """From the order i, f, o, u to i, f, c, o."""
    i, f, o, u = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, u, o], axis=-1)


def _array(path):
    if path.stat().st_size > LARGEST:
        raise UnsafeCheckpoint(path, f"it has more than {LARGEST:,} bytes")
    with refusing(path):
        array = np.lib.format.open_memmap(path, "r")  # maps: no header can make it allocate, no object be unpickled
    return finite(path, path.name, array)
