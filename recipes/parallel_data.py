"""Pairs of sentences for `recipes/translation.py`: Multi30k, files with tabs such as Tatoeba's, or the user's own."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from recipes import data
from zoo.atomic_files import atomic_write
from zoo.errors import ZooError
from zoo.pairs import Pair, pairs
from zoo.translator_training import record, split

MULTI30K_HOST = "raw.githubusercontent.com"


class Corpus(NamedTuple):
    """Pairs of one source.

    Attributes:
        train, validation: lists of `zoo.pairs.Pair`.
        test: list of pairs for the final figure, or None.
        record: what the manifest says of all of them.
    """

    train: list
    validation: list
    test: list | None
    record: dict


def of_files(source, target, validation, test):
    """The user's own files; the validation part is a twentieth of the sources where there is no file of it.

    Args:
        source, target: paths of the training files.
        validation, test: pairs of such paths, or of None.
    """
    found = pairs(source, target)
    train, held_back = split(found, 0.05) if validation[0] is None else (found, pairs(*validation))
    return Corpus(train, held_back, pairs(*test) if test[0] else None, record(source, found))


def of_table(path, reverse, count):
    """A file with tabs, of which two parts of `count` source texts each are held back, the same ones each time."""
    found = pairs(path, reverse=reverse)
    sources = len({pair.source for pair in found})
    if sources < 3:
        raise ValueError(f"{path} has {sources} different source texts; there must be three or more.")
    rest, test = split(found, min(count, sources // 3) / sources)
    train, validation = split(rest, min(count, sources // 3) / (sources - min(count, sources // 3)))
    return Corpus(train, _one_each(validation), _one_each(test), record(path, found))


def _one_each(found):
    """Of the translations of a source text the first."""
    first = {}
    for pair in found:
        first.setdefault(pair.source, pair)
    return list(first.values())


def multi30k(languages, manual_dir):
    """Multi30k by our TFDS builder, such as `"en-de"` or `"de-en"`."""
    try:
        from recipes.multi30k import LANGUAGES, Multi30k
    except ImportError as error:
        raise ZooError(
            f"Multi30k comes by tensorflow-datasets ({error}). Or give files with --source and --target."
        ) from None
    one, _, other = languages.partition("-")
    if {one, other} - {"en"} not in [{language} for language in LANGUAGES] or "en" not in (one, other):
        raise ValueError(f"`--pair` must be en and one of {', '.join(LANGUAGES)}. Received: {languages!r}")
    builder = Multi30k(config=f"en-{other if one == 'en' else one}", manual_dir=manual_dir)
    if not builder.data_path.exists():
        if manual_dir is None:
            advice = "Put its files into a folder and name that with --manual-dir, or give --source and --target."
            data.check_network(MULTI30K_HOST, "Multi30k is not prepared yet", advice)
        elif not Path(manual_dir).is_dir():
            raise FileNotFoundError(f"There is no folder --manual-dir {manual_dir}.")
        builder.download_and_prepare()
    train, validation, test = (
        [
            Pair(line, example[one].decode(), example[other].decode())
            for line, example in enumerate(builder.as_dataset(split=name).as_numpy_iterator(), 1)
        ]
        for name in ("train", "validation", "test")
    )
    return Corpus(train, validation, test, record(f"multi30k {languages}", train))


def joined(records):
    """One record of several corpora."""
    if len(records) == 1:
        return records[0]
    digest = hashlib.sha256("".join(one["sha256"] for one in records).encode()).hexdigest()
    names, count = [one["name"] for one in records], sum(one["pairs"] for one in records)
    return {"name": " and ".join(names), "sha256": digest, "pairs": count, "parts": records}


def write_table(path, found):
    """Writes pairs as a file with tabs."""
    lines = ("\t".join(" ".join(text.split()) for text in pair[1:]) + "\n" for pair in found)
    atomic_write(path, "".join(lines).encode())
