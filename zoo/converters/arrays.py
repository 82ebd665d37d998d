"""Arrays of numbers from files that a stranger may have made: `.npy`, `.npz`, HDF5, and the zip of a `.keras` file.

Nothing is unpickled, no link leads out of a file, and nothing is decompressed: what is read is no larger than the file.
"""

import contextlib
import io
import math
import os
import zipfile
from typing import NamedTuple

import h5py
import numpy as np

from zoo.errors import UnsafeCheckpoint

ATTRIBUTES = ("layer_names", "weight_names", "model_config")  # of Keras 2, all of them text


class Group(NamedTuple):
    """A group of an HDF5 file."""

    attributes: dict  # of those in ATTRIBUTES, lists of str
    members: dict  # groups and arrays by name


@contextlib.contextmanager
def refusing(path):
    """Turns what the libraries below raise about a file into `UnsafeCheckpoint`."""
    try:
        yield
    except (
        zipfile.BadZipFile, ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, SyntaxError,
        RuntimeError, MemoryError,
    ) as error:  # fmt: skip
        raise UnsafeCheckpoint(path, error) from None


def zip_members(path, wanted=None):
    """The bytes of the members of a zip file by name, in its order; of the wanted ones that are there, or of all."""
    with path.open("rb") as file, refusing(path), zipfile.ZipFile(file) as archive:
        infos = [info for info in archive.infolist() if wanted is None or info.filename in wanted]
        names = [info.filename for info in infos]
        if len(set(names)) != len(names):
            raise ValueError("a name is there twice")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename!r:.80} is compressed, which neither Keras nor numpy.savez does")
        if sum(info.file_size for info in infos) > os.fstat(file.fileno()).st_size:
            raise ValueError("its members would be larger than the file")
        return {info.filename: archive.read(info) for info in infos}


def npz(path):
    """The arrays of an `.npz` file by name, in its order."""
    members = zip_members(path)
    with refusing(path):
        return {name.removesuffix(".npy"): finite(path, name, _npy(data)) for name, data in members.items()}


def hdf5(path, file, only=None):
    """The `Group` at the root of an HDF5 file.

    Links to other files, data outside the file, compressed data and objects are refused; integers and
    single numbers, such as an optimizer's, are left out.

    Args:
        path: for the messages.
        file: open for reading bytes.
        only: of the root's members, or None for all.
    """
    with refusing(path), h5py.File(file, "r") as root:
        seen, left = set(), file.seek(0, os.SEEK_END)

        def read(group, names):
            return Group(_attributes(group), {name: member(group, name) for name in names})

        def member(group, name):
            nonlocal left
            where = f"{group.name}/{name}"
            if type(group.get(name, getlink=True)) is not h5py.HardLink:
                raise ValueError(f"{where!r:.100} is a link, which Keras does not write")
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                raise ValueError(f"{where!r:.100} is there twice")
            seen.add(address)
            if isinstance(found, h5py.Group):
                return read(found, found)
            if found.dtype.kind in "iu" or not found.shape:
                return None
            if found.dtype.kind != "f":
                raise ValueError(f"{where!r:.100} is not an array of floats")
            if found.external or found.is_virtual or found.chunks or found.id.get_storage_size() != found.nbytes:
                raise ValueError(f"{where!r:.100} is not stored plainly, as Keras does")
            left -= found.nbytes
            if left < 0:
                raise ValueError("its arrays would be larger than the file")
            return finite(path, where, found[()])

        return read(root, root if only is None else [name for name in only if name in root])


def finite(path, name, array):
    """The array in float32, if all of it is finite."""
    if array.dtype.kind != "f":
        raise UnsafeCheckpoint(path, f"{name!r:.100} is not an array of floats")
    with np.errstate(over="ignore"):
        array = np.asarray(array, "float32")
    if not array.ndim or not array.size:
        raise UnsafeCheckpoint(path, f"{name!r:.100} is empty or a single number")
    if not np.isfinite(array).all():
        raise UnsafeCheckpoint(path, f"{name!r:.100} has values that are not finite")
    return array


def _npy(data):
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array has a header of another version than 1.0")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or len(data) - file.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError("it is not a plain array, or not whole")
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran_order else "C")


def _attributes(group):
    found = {name: np.ravel(group.attrs[name]).tolist() for name in ATTRIBUTES if name in group.attrs}
    return {
        name: [text.decode() if isinstance(text, bytes) else str(text) for text in texts]
        for name, texts in found.items()
    }
