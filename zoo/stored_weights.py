"""The safetensors file of a checkpoint: exactly the weights that its configuration implies, or an error."""

import math

import numpy as np

from zoo import strict_json
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint

DTYPES = {"float32": ("F32", "<f4"), "float16": ("F16", "<f2")}  # as safetensors and as NumPy name them
LARGEST_HEADER = 2**20  # bytes


def to_bytes(arrays):
    """The file's contents, from arrays by name."""
    from safetensors.numpy import save

    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def sizes(shapes, dtype):
    """The range of bytes that the file of such weights can have."""
    smallest = 8 + _size(shapes, dtype)
    return range(smallest, smallest + LARGEST_HEADER + 1)


def parse(data, shapes, dtype, path):
    """The arrays by name, views of the file's contents.

    The header must list the weights one after another, without gap, overlap or rest, and each must be finite.

    Args:
        data: contents of the file, bytes.
        shapes: of the weights by name.
        dtype: a key of `DTYPES`.
        path: for the messages.
    """
    header, start = _header(data, path)
    found = {name: tuple(entry["shape"]) for name, entry in header.items()}
    if found != shapes:
        different = [name for name in {**shapes, **found} if found.get(name) != shapes.get(name)]
        first = "; ".join(f"{name!r:.80}: expected {shapes.get(name)}, got {found.get(name)}" for name in different[:3])
        raise IncompatibleCheckpoint(
            f"{path} does not fit its config.json: {len(different)} weights differ ({first:.500}). "
            "The two files come from different models; get both again from one source."
        )
    code, numpy_dtype = DTYPES[dtype]
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = end, end + _size({name: shapes[name]}, dtype)
        if entry["dtype"] != code or entry["data_offsets"] != [begin, end]:
            raise UnsafeCheckpoint(path, f"{name!r} should be {code} at bytes {begin} to {end}, it is {entry!s:.150}")
        if end > len(data) - start:
            raise UnsafeCheckpoint(path, f"it ends within {name!r}")
        array = np.frombuffer(data, numpy_dtype, math.prod(shapes[name]), start + begin).reshape(shapes[name])
        if not np.isfinite(array).all():
            raise UnsafeCheckpoint(path, f"{name!r} has values that are not finite")
        arrays[name] = array
    if start + end != len(data):
        raise UnsafeCheckpoint(path, f"{len(data) - start - end} bytes follow the weights")
    return arrays


def _header(data, path):
    """The parsed header, and where the weights start."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(LARGEST_HEADER, len(data) - 8):
        raise UnsafeCheckpoint(path, f"its header would have {size:,} bytes")
    try:
        return strict_json.parse(data[8 : 8 + size], HEADER_SCHEMA), 8 + size
    except ValueError as error:
        raise UnsafeCheckpoint(path, error) from None


def _size(shapes, dtype):
    return sum(math.prod(shape) for shape in shapes.values()) * np.dtype(DTYPES[dtype][1]).itemsize


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
