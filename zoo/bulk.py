"""Files of any size, classified or translated: constant memory, order kept, and a killed run goes on where it was."""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
from pathlib import Path
from typing import NamedTuple

from keras import ops

from zoo import strict_json
from zoo.atomic_files import atomic_write
from zoo.locks import locked
from zoo.rows import FORMATS, BadRow, in_blocks, rows
from zoo.text_files import lines
from zoo.text_preparation import without_surrogates

BLOCK = 1024  # rows
ADDED = ("predicted_label", "probability")


class Line(NamedTuple):
    """A line of a text."""

    line: int  # from 1
    text: str


def classify_file(model, source, output, text_column="text", bad=None, progress=None):
    """Classifies every row of a file into another file.

    The output has the columns of the input, then `predicted_label` and `probability`; a table has those of the first
    row. An empty text is classified like any other. Until the output is whole it is called `OUTPUT.partial`; called
    again after an interruption with the same arguments, the work goes on.

    Args:
        model: a `zoo.models.Classifier`.
        source: path of a `.csv`, `.tsv` or `.jsonl` file, also `.gz` or `.xz`.
        output: path of a `.csv`, `.tsv` or `.jsonl` file that does not exist.
        text_column: name of the column with the text.
        bad: called with a `zoo.rows.BadRow` for each row that cannot be used, which is left out; without it, that
            stops.
        progress: called with the number of rows written so far.

    Returns:
        How many rows were written.

    Raises:
        FileExistsError: the output exists, or a partial one of another work, or another process writes it.
        ValueError: as `zoo.rows.rows`; there is no row; there is a column that the output adds.
    """
    source, output = Path(source), Path(output)
    if output.suffix not in FORMATS:
        raise ValueError(f"`output` must end in one of {', '.join(FORMATS)}. Received: output={str(output)!r}")
    table = FORMATS[output.suffix] is not None
    found = _fitting(source, rows(source, text_column, None, bad), table, bad)
    first = next(found, None)
    if first is None:
        raise ValueError(f"There is no row to classify in {source}.")

    def contents(block, header):
        results = model.classify([row.text for row in block])
        records = [
            {**row.record, **dict(zip(ADDED, (result.label, round(result.probability, 6))))}
            for row, result in zip(block, results)
        ]
        return _table(records, FORMATS[output.suffix], header) if table else _json_lines(records)

    found = itertools.chain([first], found)
    return _write_in_blocks(model, source, output, {"column": text_column}, found, contents, progress)


def _fitting(source, found, table, bad):
    """The rows, with the columns of the first if they go into a table."""
    columns = None
    for row in found:
        columns = columns or list(row.record)
        check_columns(source, row)
        more = [name for name in row.record if name not in columns] if table else []
        if more:
            error = BadRow(
                f"{source}, line {row.line}: {more[0]!r} is not in the first row. A .jsonl file can hold that."
            )
            if bad is None:
                raise error
            bad(error)
            continue
        yield row._replace(record={name: row.record.get(name, "") for name in columns}) if table else row


def check_columns(source, row):
    """Raises a ValueError if a row has a column that would be written over."""
    for name in ADDED:
        if name in row.record:
            raise ValueError(f"{source} has a column {name!r} already, which would be lost; rename it.")


def translate_file(model, source, output, progress=None, **search):
    """Translates every line of a file into a line of another file, as `classify_file` works.

    Args:
        model: a `zoo.models.Translator`.
        source: path of a UTF-8 file, also `.gz` or `.xz`.
        output: path of a file that does not exist.
        progress: as in `classify_file`.
        search: arguments of `zoo.models.Translator.translate`.

    Returns:
        How many lines were written: as many as the source has. A translation is always one line, an empty one of an
        empty line.
    """

    def contents(block, header):
        return "".join(f"{text}\n" for text in model.translate([line.text for line in block], **search))

    found = itertools.starmap(Line, enumerate(lines(source), 1))
    return _write_in_blocks(model, Path(source), Path(output), {"search": search}, found, contents, progress)


def _write_in_blocks(model, source, output, work, items, contents, progress):
    """Writes what `contents(block, header)` makes of the items, which have a `line`, and remembers how far it came."""
    if output.exists():
        advice = "It is the input: choose" if output.samefile(source) else "Remove it, or choose"
        raise FileExistsError(f"{output} exists. {advice} another name.")
    partial, position = (output.with_name(output.name + ending) for ending in (".partial", ".position"))
    status = source.stat()
    work = {
        "source": str(source.resolve()),
        "bytes": status.st_size,
        "modified": status.st_mtime_ns,
        "model": _fingerprint(model),
        **work,
    }
    done = _position(position, partial, work)
    with locked(partial), partial.open("r+b") as file:  # which `locked` has made
        file.truncate(done["end"])
        file.seek(0, io.SEEK_END)
        written = done["written"]
        found = (item for item in items if item.line > done["line"])
        try:
            for block in in_blocks(found, BLOCK):
                text = contents(block, header=written == 0)
                file.write(without_surrogates(text).encode())
                file.flush()
                os.fsync(file.fileno())
                written += len(block)
                _keep(position, work, written, block[-1].line, file.tell())
                if progress is not None:
                    progress(written)
        except BaseException:
            if written == 0:  # nothing to go on with
                position.unlink(missing_ok=True)
                partial.unlink()
            raise
        partial.replace(output)
        position.unlink(missing_ok=True)
    return written


def _fingerprint(model):
    """Tells one model from another, whatever their folders are called."""
    digest = hashlib.sha256(repr(model.config).encode() + strict_json.to_bytes(model.tokenizer.to_json()))
    for weight in model.weights:
        digest.update(ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _keep(position, work, written, line, end):
    atomic_write(position, strict_json.to_bytes({"work": work, "written": written, "line": line, "end": end}))


def _position(position, partial, work):
    """How far an interrupted work came; a new one begins here."""
    if not position.exists():
        if partial.exists():
            raise FileExistsError(f"{partial} exists and is not of this work. Move it away, or choose another output.")
        _keep(position, work, 0, 0, 0)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        record = json.loads(position.read_bytes())
        if record["work"] == work and (partial.stat().st_size if partial.exists() else 0) >= record["end"]:
            return record
    raise FileExistsError(
        f"{position} belongs to another work: another model, or its input has changed. Remove it and {partial.name} to "
        "start again."
    )


def _json_lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _table(records, delimiter, header):
    text = io.StringIO(newline="")
    # Python's writer leaves a carriage return unquoted, which its reader takes for the end of the row.
    returns = any("\r" in str(value) for record in records for value in record.values())
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(text, records[0].keys(), delimiter=delimiter, lineterminator="\n", quoting=quoting)
    if header:
        writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
