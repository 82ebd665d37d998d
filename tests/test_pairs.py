"""Parallel text from files and lists, good and bad."""

import gzip
import lzma

import pytest

from zoo.pairs import Pair, pairs
from zoo.rows import BadRow

SOURCE, TARGET = ["A dog.", "A cat."], ["Ein Hund.", "Eine Katze."]
FOUND = [Pair(1, "A dog.", "Ein Hund."), Pair(2, "A cat.", "Eine Katze.")]


def write(path, text, opener=open):
    with opener(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("ending, opener", [("", open), (".gz", gzip.open), (".xz", lzma.open)])
def test_two_files(tmp_path, ending, opener):
    one = write(tmp_path / f"a.en{ending}", "A dog.\r\nA cat.\n", opener)
    other = write(tmp_path / f"a.de{ending}", "\ufeffEin Hund.\nEine Katze.", opener)
    assert pairs(one, other) == FOUND
    assert pairs(SOURCE, TARGET) == FOUND


def test_columns(tmp_path):
    path = write(tmp_path / "a.tsv", "A dog.\tEin Hund.\tCC BY 2.0\nA cat.\tEine Katze.\n")
    assert pairs(path) == FOUND
    assert pairs(path, reverse=True) == [Pair(1, "Ein Hund.", "A dog."), Pair(2, "Eine Katze.", "A cat.")]


def test_strange_line_separators_are_not_ends_of_lines(tmp_path):
    one = write(tmp_path / "a", "A\u2028dog.\nA\x0bcat.\n")
    assert len(pairs(one, write(tmp_path / "b", "Ein\x85Hund.\nEine\u2029Katze.\n"))) == 2


def test_files_of_different_lengths(tmp_path):
    one = write(tmp_path / "a.en", "Yes.\n" * 5 + "This one has no translation at all.\n" + "No.\n" * 4)
    other = write(tmp_path / "a.de", "Ja.\n" * 5 + "Nein.\n" * 4)
    with pytest.raises(ValueError, match=r"a.en has 10 lines and .*a.de 9; .* Look at line 6 first"):
        pairs(one, other)
    with pytest.raises(ValueError, match=r"2 lines and the list 1; .* Look at line 2 first"):
        pairs(SOURCE, TARGET[:1])


@pytest.mark.parametrize(
    "line, message",
    [
        ("A cat.", "Line 2: there is one column; wanted are the source, a tab and its translation"),
        ("\tEine Katze.", "Line 2: the source is empty"),
        ("A cat.\t  ", "Line 2: the target is empty"),
    ],
)
def test_bad_pairs(tmp_path, line, message):
    path = write(tmp_path / "a.tsv", f"A dog.\tEin Hund.\n{line}\nHi.\tHallo.\n")
    with pytest.raises(BadRow, match=message):
        pairs(path)
    bad = []
    assert [pair.line for pair in pairs(path, bad=bad.append)] == [1, 3]
    assert len(bad) == 1 and message in str(bad[0])


def test_other_bad_sources(tmp_path):
    with pytest.raises(ValueError, match=r"not UTF-8: byte 0xe9 in line 2.*iconv"):
        pairs(write(tmp_path / "a", b"Hi.\nCaf\xe9\n"), TARGET)
    with pytest.raises(ValueError, match="not a whole .gz file"):
        pairs(write(tmp_path / "a.gz", gzip.compress(b"Hi.\n" * 999)[:-9]), TARGET)
    with pytest.raises(ValueError, match="no pair of sentences"):
        pairs(write(tmp_path / "empty", ""), [])
    with pytest.raises(TypeError, match="paths or lists of str"):
        pairs(3, TARGET)
    with pytest.raises(TypeError, match="path of a file with tabs"):
        pairs(SOURCE)
    with pytest.raises(BadRow, match="Line 2: the source is 3, not a str"):
        pairs(["A dog.", 3], TARGET)
    with pytest.raises(FileNotFoundError):
        pairs(tmp_path / "missing", TARGET)
