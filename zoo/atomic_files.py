"""Writing files so that a reader, a crash or a full disk sees the old one or the new one, never half of it."""

import os
import tempfile
from pathlib import Path


def atomic_write(path, data):
    """Writes bytes to a file: beside it first, flushed to disk, then renamed over it.

    Args:
        path: the file; its folder must exist.
        data: bytes.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder):
    """Flushes a folder's list of names to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
