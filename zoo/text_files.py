"""Reading the user's own text: plain, `.gz` or `.xz`."""

import gzip
import lzma
import zlib
from pathlib import Path

import numpy as np

OPENERS = {".gz": gzip.open, ".xz": lzma.open}


def read_bytes(path):
    """The bytes of a file, decompressed if its name ends in `.gz` or `.xz`.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: where the file cannot be read.
        ValueError: where it is not the compressed file that its name says.
    """
    path = Path(path)
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as file:
            return file.read()
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}") from None


def read_text(path):
    """The text of a UTF-8 file, plain or compressed; line ends stay as they are.

    Raises:
        ValueError: where the file is not UTF-8, with the position and what to do.
        Others: as `read_bytes`.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at position {error.start} (line {line}). "
            "Convert it first, for example with: iconv -f latin1 -t utf-8"
        ) from None


def byte_tokens(path):
    """The bytes of a file, plain or compressed, as a uint8 array; a plain file is mapped, not read into memory.

    Raises:
        ValueError: where there is nothing in it.
        Others: as `read_bytes`.
    """
    path = Path(path)
    if path.suffix in OPENERS:
        found = np.frombuffer(read_bytes(path), np.uint8)
    else:
        found = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    if not len(found):
        raise ValueError(f"{path} is empty.")
    return found


def lines(path):
    """The lines of a UTF-8 file, plain or compressed, one after another, without their ends.

    Raises:
        ValueError: where the file is not UTF-8, with the line and what to do.
        Others: as `read_bytes`.
    """
    path, number = Path(path), 0
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{error.object[error.start]:02x} in line {number}. "
            "Convert it first, for example with: iconv -f latin1 -t utf-8"
        ) from None
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}") from None
