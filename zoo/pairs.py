"""Pairs of sentences, a source and its translation, from two files, one with tabs, or two lists."""

import itertools
import os
from pathlib import Path
from typing import NamedTuple

from zoo.rows import BadRow
from zoo.text_files import lines


class Pair(NamedTuple):
    """A sentence and its translation."""

    line: int  # from 1
    source: str
    target: str


def pairs(source, target=None, bad=None, reverse=False):
    """The pairs of a parallel corpus.

    Args:
        source: path of a UTF-8 file with a sentence in each line, also `.gz` or `.xz`, with `target`; or of one whose
            lines have source, tab, target, and perhaps more columns, without `target`; or a list of str.
        target: path of the file with the translations, line by line; or a list of str.
        bad: called with a `zoo.rows.BadRow` for every pair that cannot be used, which is then left out; without it,
            the error is raised.
        reverse: whether the second column of a file with tabs is the source.

    Returns:
        List of `Pair`s.

    Raises:
        ValueError: the files have different numbers of lines; a pair without source or target (`BadRow`); a file that
            is not UTF-8 or not whole; no pair at all.

    Example:

    >>> pairs(["A dog.", "A cat."], ["Ein Hund.", "Eine Katze."])[1]
    Pair(line=2, source='A cat.', target='Eine Katze.')
    """
    if target is None:
        if not isinstance(source, (str, os.PathLike)):
            raise TypeError(
                f"Without `target`, `source` must be the path of a file with tabs. Received: {source!r:.100}"
            )
        found = _of_columns(Path(source), reverse)
    else:
        found = _of_two(source, target)
    kept = []
    for line, one, other in found:
        try:
            kept.append(_pair(line, one, other))
        except BadRow as error:
            if bad is None:
                raise
            bad(error)
    if not kept:
        raise ValueError(f"There is no pair of sentences in {_name(source)}.")
    return kept


def _pair(line, source, target):
    if source is None or target is None:
        raise BadRow(f"Line {line}: there is one column; wanted are the source, a tab and its translation.")
    for name, text in (("source", source), ("target", target)):
        if not isinstance(text, str):
            raise BadRow(f"Line {line}: the {name} is {text!r:.50}, not a str.")
        if not text.strip():
            raise BadRow(f"Line {line}: the {name} is empty.")
    return Pair(line, source.strip(), target.strip())


def _of_columns(path, reverse):
    for number, line in enumerate(lines(path), 1):
        columns = line.split("\t")
        one, other = columns[:2] if len(columns) > 1 else (line, None)
        yield (number, other, one) if reverse else (number, one, other)


def _of_two(source, target):
    both = [list(lines(Path(one)) if isinstance(one, (str, os.PathLike)) else _texts(one)) for one in (source, target)]
    if len(both[0]) != len(both[1]):
        raise ValueError(
            f"{_name(source)} has {len(both[0]):,} lines and {_name(target)} {len(both[1]):,}; each line must have its "
            f"translation in the other. Look at line {_suspicious(*both):,} first."
        )
    yield from zip(itertools.count(1), *both)


def _texts(texts):
    if not isinstance(texts, (list, tuple)):
        raise TypeError(f"`source` and `target` must be paths or lists of str. Received: {texts!r:.100}")
    return texts


def _suspicious(sources, targets):
    """The first line, from 1, where one side is empty or several times as long as the other; else the last common."""
    for number, (source, target) in enumerate(zip(sources, targets), 1):
        short, long = sorted((len(str(source).strip()), len(str(target).strip())))
        if long and (not short or long > 2 * short + 15):
            return number
    return min(len(sources), len(targets)) + 1


def _name(source):
    return str(source) if isinstance(source, (str, os.PathLike)) else "the list"
