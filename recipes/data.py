"""Corpora for the recipes: the public ones by TensorFlow Datasets, or the user's own files."""

import hashlib
import socket
from pathlib import Path

from zoo.errors import ZooError
from zoo.text_files import read_text

SHAKESPEARE_HOST = "raw.githubusercontent.com"


def corpus(path=None, manual_dir=None):
    """A text to train on, and a record of it for the manifest.

    Args:
        path: a UTF-8 file, `.gz` and `.xz` too; None for TFDS `tiny_shakespeare`.
        manual_dir: where `input.txt` of tiny_shakespeare lies, if it is not to be downloaded.

    Returns:
        The text, and a dict with its `name`, `sha256` (of the UTF-8 text) and `characters`.
    """
    text = read_text(path) if path else _tiny_shakespeare(manual_dir)
    name = Path(path).name if path else "tiny_shakespeare"
    if not text:
        raise ValueError(f"{path} is empty.")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text, {"name": name, "sha256": digest, "characters": len(text)}


def split(text, validation=0.05, test=0.1):
    """Training, validation and test text: the validation part is the beginning, the test part the last tenth.

    What comes next in a text resembles what came last: with the validation part between the two, the training would
    miss the play in which the test begins.
    """
    start, end = int(len(text) * validation), int(len(text) * (1 - test))
    return text[start:end], text[:start], text[end:]


def _tiny_shakespeare(manual_dir):
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ZooError(
            f"tiny_shakespeare comes by tensorflow-datasets ({error}). Or give a file with --text."
        ) from None
    builder = tfds.builder("tiny_shakespeare")
    if not builder.data_path.exists():
        manual_dir = Path(manual_dir).expanduser() if manual_dir else None
        if manual_dir is not None and not (manual_dir / "input.txt").is_file():
            raise FileNotFoundError(f"There is no input.txt in --manual-dir {manual_dir}.")
        if manual_dir is None:
            _check_network()
        try:
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
        except Exception as error:  # it has many kinds, without a common base
            raise ZooError(f"TensorFlow Datasets could not prepare tiny_shakespeare: {error}") from error
    parts = [tfds.as_numpy(builder.as_dataset(split=name)) for name in ("train", "validation", "test")]
    return b"".join(example["text"] for part in parts for example in part).decode()


def _check_network():
    try:
        socket.create_connection((SHAKESPEARE_HOST, 443), timeout=5).close()
    except OSError:
        raise ConnectionError(
            f"tiny_shakespeare is not prepared yet and {SHAKESPEARE_HOST} cannot be reached. Put its input.txt into a "
            "folder and give that with --manual-dir, or train on your own file with --text."
        ) from None
