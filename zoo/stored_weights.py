"""The safetensors file of a checkpoint: exactly the weights that its configuration implies, or an error.

float32 and float16 store every weight as it is. int8 stores each matrix W as whole numbers Q with a float32 scale for
each output channel, a column of a kernel or a row of an embedding:

    scale = max |W| / 127,   Q = round(W / scale),   W is read as scale * Q

and everything else, such as biases, as float32. The scales of a weight stand in the file as `NAME/scale`.
"""

import math
from typing import NamedTuple

import numpy as np

from zoo import strict_json
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint

DTYPES = ("float32", "float16", "int8")
CODES = {"float32": ("F32", "<f4"), "float16": ("F16", "<f2"), "int8": ("I8", "|i1")}  # of safetensors and NumPy
LARGEST_HEADER = 2**20  # bytes


class Stored(NamedTuple):
    """How an array stands in the file."""

    dtype: str  # a key of CODES
    shape: tuple


def layout(shapes, dtype):
    """The arrays of the file, by name, for weights of these shapes."""
    if dtype != "int8":
        return {name: Stored(dtype, shape) for name, shape in shapes.items()}
    found = {}
    for name, shape in shapes.items():
        if len(shape) < 2:
            found[name] = Stored("float32", shape)
        else:
            found[name] = Stored("int8", shape)
            found[f"{name}/scale"] = Stored("float32", (shape[_channels(name)],))
    return found


def encode(arrays, dtype):
    """The arrays of the file, from float arrays by name."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what is not finite
        return {name: array.astype(dtype) for name, array in arrays.items()} if dtype != "int8" else _quantized(arrays)


def _quantized(arrays):
    found = {}
    for name, array in arrays.items():
        if array.ndim < 2:
            found[name] = array.astype("float32")
            continue
        others = tuple(axis for axis in range(array.ndim) if axis != _channels(name) % array.ndim)
        scale = np.abs(array).max(axis=others) / 127
        rounded = np.rint(array / _along(np.where(scale > 0, scale, 1), name, array.ndim))
        found[name] = np.nan_to_num(rounded).clip(-127, 127).astype("int8")
        found[f"{name}/scale"] = scale.astype("float32")
    return found


def decode(stored, shapes, dtype):
    """The weights by name, from the arrays of the file."""
    if dtype != "int8":
        return stored
    with np.errstate(over="ignore"):
        return {
            name: stored[name] * _along(stored[f"{name}/scale"], name, len(shape)) if len(shape) > 1 else stored[name]
            for name, shape in shapes.items()
        }


def _channels(name):
    """The axis of the output channels of a matrix."""
    return 0 if name.endswith("embeddings") else -1


def _along(scale, name, ndim):
    return scale.reshape([-1 if axis == _channels(name) % ndim else 1 for axis in range(ndim)])


def to_bytes(stored):
    """The file's contents, from what `encode` gives."""
    from safetensors.numpy import save

    return save({name: np.asarray(array, order="C") for name, array in stored.items()})


def sizes(shapes, dtype):
    """The range of bytes that the file of such weights can have."""
    smallest = 8 + sum(map(_size, layout(shapes, dtype).values()))
    return range(smallest, smallest + LARGEST_HEADER + 1)


def parse(data, shapes, dtype, path):
    """The weights by name; of float types, they are views of the file's contents.

    The header must list the arrays one after another, without gap, overlap or rest, and each must be finite.

    Args:
        data: contents of the file, bytes.
        shapes: of the weights by name.
        dtype: one of `DTYPES`.
        path: for the messages.
    """
    header, start = _header(data, path)
    expected = layout(shapes, dtype)
    wanted = {name: stored.shape for name, stored in expected.items()}
    found = {name: tuple(entry["shape"]) for name, entry in header.items()}
    if found != wanted:
        different = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        first = "; ".join(f"{name!r:.80}: expected {wanted.get(name)}, got {found.get(name)}" for name in different[:3])
        raise IncompatibleCheckpoint(
            f"{path} does not fit its config.json: {len(different)} weights differ ({first:.500}). "
            "The two files come from different models; get both again from one source."
        )
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        stored = expected[name]
        code, numpy_dtype = CODES[stored.dtype]
        begin, end = end, end + _size(stored)
        if entry["dtype"] != code or entry["data_offsets"] != [begin, end]:
            raise UnsafeCheckpoint(path, f"{name!r} should be {code} at bytes {begin} to {end}, it is {entry!s:.150}")
        if end > len(data) - start:
            raise UnsafeCheckpoint(path, f"it ends within {name!r}")
        array = np.frombuffer(data, numpy_dtype, math.prod(stored.shape), start + begin).reshape(stored.shape)
        if not np.isfinite(array).all():
            raise UnsafeCheckpoint(path, f"{name!r} has values that are not finite")
        arrays[name] = array
    if start + end != len(data):
        raise UnsafeCheckpoint(path, f"{len(data) - start - end} bytes follow the weights")
    weights = decode(arrays, shapes, dtype)
    for name, array in weights.items() if dtype == "int8" else ():
        if not np.isfinite(array).all():
            raise UnsafeCheckpoint(path, f"{name!r} has scales that are too large")
    return weights


def _header(data, path):
    """The parsed header, and where the weights start."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(LARGEST_HEADER, len(data) - 8):
        raise UnsafeCheckpoint(path, f"its header would have {size:,} bytes")
    try:
        return strict_json.parse(data[8 : 8 + size], HEADER_SCHEMA), 8 + size
    except ValueError as error:
        raise UnsafeCheckpoint(path, error) from None


def _size(stored):
    return math.prod(stored.shape) * np.dtype(CODES[stored.dtype][1]).itemsize


_SIZES = {"type": "array", "items": {"type": "integer", "minimum": 0}}
HEADER_SCHEMA = {
    "type": "object",
    "maxProperties": 10_000,
    "additionalProperties": {
        "type": "object",
        "required": ["dtype", "shape", "data_offsets"],
        "additionalProperties": False,
        "properties": {
            "dtype": {"type": "string"},
            "shape": {**_SIZES, "maxItems": 8},
            "data_offsets": {**_SIZES, "minItems": 2, "maxItems": 2},
        },
    },
}
