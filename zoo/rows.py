"""Rows of text and label, one after another, from whatever a user keeps them in.

Files are streamed, so memory does not grow with them: CSV, TSV and JSON Lines, plain, `.gz` or `.xz`.
"""

import csv
import gzip
import json
import lzma
import os
import zlib
from pathlib import Path
from typing import NamedTuple

from zoo.text_files import OPENERS, lines

LONGEST_FIELD = 2**27  # characters; more than the 10 MB texts that are allowed
FORMATS = {".csv": ",", ".tsv": "\t", ".jsonl": None, ".ndjson": None}


class Row(NamedTuple):
    """One example."""

    line: int  # where it ends in the file, from 1; in other sources its number
    text: str
    label: str | None
    record: dict  # all columns


class BadRow(ValueError):
    """A row that cannot be used; says which and why."""


def rows(source, text_column="text", label_column="label", bad=None, empty=True):
    """The rows of a source.

    Args:
        source: path of a `.csv`, `.tsv` or `.jsonl` file, also with `.gz` or `.xz` after it; a pandas frame; a pair of
            lists (or one list, of texts); a `tf.data.Dataset` of `(text, label)` pairs or of dicts, not batched.
        text_column: name of the column with the text.
        label_column: name of the column with the label; None for rows without.
        bad: called with a `BadRow` for every row that cannot be used, which is then left out; without it, the error
            is raised.
        empty: whether a text may be empty.

    Yields:
        `Row`s. Labels are str; `1`, `1.0` and `"1"` are one label.

    Raises:
        ValueError: no such column, which the message answers with those there are; an unknown kind of file; a file
            that is not UTF-8 or not whole. `BadRow` is one, too.

    Example:

    >>> path = tmp_path / "reviews.csv"
    >>> _ = path.write_text("label,text\\npos,A gem.\\nneg,Dull.\\n")
    >>> [(row.text, row.label) for row in rows(path)]
    [('A gem.', 'pos'), ('Dull.', 'neg')]
    """
    if isinstance(source, (str, os.PathLike)):
        records = _of_file(Path(source))
    elif hasattr(source, "columns") and hasattr(source, "itertuples"):
        records = _of_frame(source)
    elif hasattr(source, "element_spec"):
        records = _of_dataset(source, text_column, label_column)
    else:
        records = _of_lists(source, text_column, label_column)
    for line, record in records:
        try:
            if isinstance(record, BadRow):
                raise record
            yield _row(line, record, text_column, label_column, empty)
        except BadRow as error:
            if bad is None:
                raise
            bad(error)


def in_blocks(found, most, characters=2**23):
    """Lists of rows, of so many and about so many characters at most, that memory may hold."""
    block, size = [], 0
    for row in found:
        block.append(row)
        size += len(row.text)
        if len(block) == most or size >= characters:
            yield block
            block, size = [], 0
    if block:
        yield block


def label_of(value):
    """A label as str, whatever it was written as; None for a missing one, the str `nan` among them."""
    if hasattr(value, "item"):  # of NumPy
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:  # noqa: PLR0124, NaN
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    label = " ".join(str(value).split())
    return None if label in ("", "nan", "NaN") else label


def _row(line, record, text_column, label_column, empty):
    for column in (text_column, label_column):
        if column is not None and column not in record:
            raise ValueError(f"There is no column {column!r}. The columns are: {', '.join(map(repr, record))}.")
    text = record[text_column]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        hint = " Is the dataset batched? Its `unbatch()` is not." if getattr(text, "ndim", 0) else ""
        raise BadRow(f"Line {line}: the text is {text!r:.50}, not a str.{hint}")
    if not empty and not text.strip():
        raise BadRow(f"Line {line}: the text is empty.")
    if label_column is None:
        return Row(line, text, None, record)
    if isinstance(record[label_column], (list, dict, tuple, set)):
        raise BadRow(f"Line {line}: the label is {record[label_column]!r:.50}, not a str or a number.")
    label = label_of(record[label_column])
    if label is None:
        raise BadRow(f"Line {line}: there is no label in column {label_column!r}.")
    return Row(line, text, label, record)


def _of_file(path):
    compressed = path.suffix in OPENERS
    suffix = path.with_suffix("").suffix if compressed else path.suffix
    if suffix not in FORMATS:
        raise ValueError(
            f"{path} should end in one of {', '.join(FORMATS)}, or in such an ending and .gz or .xz, so that it is "
            "known how to read it."
        )
    parse = _of_json_lines if FORMATS[suffix] is None else _of_csv
    opener = OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield from parse(path, file, FORMATS[suffix])
    except UnicodeDecodeError:
        for _ in lines(path):  # which says where
            pass
        raise
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}") from None


def _of_csv(path, file, delimiter):
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header = None
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            lines = f"line {first}" if first == reader.line_num else f"lines {first} to {reader.line_num}"
            yield reader.line_num, BadRow(f"{path}, {lines}: {error}.")
            continue
        if header is None:
            header = fields
            if len(set(header)) != len(header):
                raise ValueError(f"{path} has a column twice: {', '.join(map(repr, header))}.")
        elif delimiter == "\t" and any("\t" in field and "\n" in field for field in fields):
            yield (
                reader.line_num,
                BadRow(
                    f"{path}, line {first}: a quotation mark begins a field that ends in line {reader.line_num}. "
                    "If such marks are only characters here, double them, or save the file as .csv."
                ),
            )
        elif len(fields) == len(header):
            yield reader.line_num, dict(zip(header, fields))
        elif fields:
            yield (
                reader.line_num,
                BadRow(f"{path}, line {reader.line_num}: {len(fields)} fields, the header has {len(header)}."),
            )
    if header is None:
        raise ValueError(f"{path} is empty.")


def _of_json_lines(path, file, _):
    number = 0
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, BadRow(f"{path}, line {number}: not JSON ({error}).")
            continue
        yield number, record if isinstance(record, dict) else BadRow(f"{path}, line {number}: not a JSON object.")
    if not number:
        raise ValueError(f"{path} is empty.")


def _of_frame(frame):
    columns = list(frame.columns)
    for number, values in enumerate(frame.itertuples(index=False, name=None), 1):
        yield number, dict(zip(columns, values))


def _of_dataset(dataset, text_column, label_column):
    for number, element in enumerate(dataset.as_numpy_iterator(), 1):
        if isinstance(element, tuple):
            element = dict(zip((text_column, label_column), element))
        yield number, element if isinstance(element, dict) else {text_column: element}


def _of_lists(source, text_column, label_column):
    if not isinstance(source, (list, tuple)):
        raise TypeError(
            "Data must be the path of a file, a pandas frame, a tf.data.Dataset, or a pair of lists, texts and labels. "
            f"Received: {source!r:.100} of type {type(source).__name__}"
        )
    if label_column is None:
        yield from enumerate(({text_column: text} for text in source), 1)
        return
    if len(source) != 2 or any(isinstance(part, str) or not hasattr(part, "__len__") for part in source):
        raise ValueError(f"Two lists are wanted, texts and labels. Received: {source!r:.100}")
    texts, labels = source
    if len(texts) != len(labels):
        raise ValueError(f"There are {len(texts)} texts and {len(labels)} labels; each text needs one.")
    for number, (text, label) in enumerate(zip(texts, labels), 1):
        yield number, {text_column: text, label_column: label}
