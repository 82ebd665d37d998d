"""Corpora for the recipes: the public ones by TensorFlow Datasets, or the user's own files."""

import hashlib
import socket
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.rows import rows
from zoo.text_files import read_text

SHAKESPEARE_HOST = "raw.githubusercontent.com"
IMDB_HOST = "ai.stanford.edu"


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


def reviews(paths, text_column):
    """Reviews to train a language model on, and a record of them for the manifest.

    Args:
        paths: files with the reviews; None for TFDS `imdb_reviews`.
        text_column: where they are in these.

    Returns:
        A list of str, and a dict with `name`, `sha256` (of the texts in their order) and how many there are.
    """
    texts = [row.text for path in paths or [] for row in rows(path, text_column, label_column=None)]
    if not paths:
        texts = _imdb_reviews()
    if len(texts) < 3:
        raise ValueError(f"{len(texts)} reviews are too few: one is for validation and one for the final figure.")
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass"))
    name = ", ".join(path.name for path in paths) if paths else "imdb_reviews"
    return texts, {"name": name, "sha256": digest.hexdigest(), "reviews": len(texts)}


def in_parts(texts, tokenizer, seed, held_back=0.01):
    """Texts encoded and put one after another in a random order.

    Args:
        texts: list of str.
        tokenizer: which prepares and encodes them.
        seed: of the order.
        held_back: fraction of the texts in the validation part, and again in the test part; at least one.

    Returns:
        Arrays of tokens, in the smallest unsigned type that holds them, for training, validation and test.
    """
    dtype = np.min_scalar_type(tokenizer.vocabulary_size - 1)
    order = np.random.default_rng(seed).permutation(len(texts))
    count = max(1, int(held_back * len(texts)))
    parts = order[2 * count :], order[:count], order[count : 2 * count]
    documents = [tokenizer.encode_document(text).astype(dtype) for text in texts]
    return tuple(np.concatenate([documents[i] for i in part]) for part in parts)


def _imdb_reviews():
    """The reviews of TFDS `imdb_reviews` without those of its test split."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ZooError(f"imdb_reviews comes by tensorflow-datasets ({error}). Or give files with --data.") from None
    builder = tfds.builder("imdb_reviews")
    if not builder.data_path.exists():
        check_network(IMDB_HOST, "imdb_reviews is not prepared yet", "Give files with --data.")
        try:
            builder.download_and_prepare()
        except Exception as error:  # it has many kinds, without a common base
            raise ZooError(f"TensorFlow Datasets could not prepare imdb_reviews: {error}") from error

    def texts(split):
        return [example["text"].decode() for example in tfds.as_numpy(builder.as_dataset(split=split))]

    test = set(texts("test"))
    return texts("train") + [text for text in texts("unsupervised") if text not in test]


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
            advice = "Put its input.txt into a folder and name that with --manual-dir, or train on a file with --text."
            check_network(SHAKESPEARE_HOST, "tiny_shakespeare is not prepared yet", advice)
        try:
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
        except Exception as error:  # it has many kinds, without a common base
            raise ZooError(f"TensorFlow Datasets could not prepare tiny_shakespeare: {error}") from error
    parts = [tfds.as_numpy(builder.as_dataset(split=name)) for name in ("train", "validation", "test")]
    return b"".join(example["text"] for part in parts for example in part).decode()


def check_network(host, what, advice):
    """Raises a ConnectionError with advice at once, where downloading would wait and fail."""
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        raise ConnectionError(f"{what} and {host} cannot be reached. {advice}") from None
