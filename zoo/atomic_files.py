"""Writing files so that a reader, a crash or a full disk sees the old one or the new one, never half of it."""

import os
import uuid
from pathlib import Path


def atomic_write(path, data):
    """Writes bytes to a file: beside it first, flushed to disk, then renamed over it.

    Args:
        path: the file; its folder must exist. Its mode follows the umask.
        data: bytes.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)
        raise
    sync_folder(path.parent)


def sync_folder(folder):
    """Flushes a folder's list of names to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
