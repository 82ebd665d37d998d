"""One process at a time: a second one that wants the same folder or file is told, before it spoils anything."""

import contextlib
from pathlib import Path


@contextlib.contextmanager
def locked(path):
    """Holds a file, which is made if it is missing, until the end of the block or of the process, however that comes.

    Raises:
        FileExistsError: another process holds it.
    """
    path = Path(path)
    try:
        import fcntl
    except ImportError:  # Windows, where nothing is held
        yield
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f"{path} is in use: another process works on it just now. Wait for its end."
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
