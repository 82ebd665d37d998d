"""Files of any size, classified or translated: constant memory, order kept, and a killed run goes on where it was."""

import contextlib
import csv
import io
import itertools
import json
import os
from pathlib import Path
from typing import NamedTuple

from zoo import strict_json
from zoo.atomic_files import atomic_write
from zoo.rows import FORMATS, rows
from zoo.text_files import lines

BLOCK = 1024  # rows


class Line(NamedTuple):
    """A line of a text."""

    line: int  # from 1
    text: str


def classify_file(model, source, output, text_column="text", bad=None, model_name="", progress=None):
    """Classifies every row of a file into another file.

    The output has the columns of the input, then `predicted_label` and `probability`. Until it is whole it is called
    `OUTPUT.partial`; called again after an interruption with the same arguments, the work goes on.

    Args:
        model: a `zoo.models.Classifier`.
        source: path of a `.csv`, `.tsv` or `.jsonl` file, also `.gz` or `.xz`.
        output: path of a `.csv`, `.tsv` or `.jsonl` file that does not exist.
        text_column: name of the column with the text.
        bad: called with a `zoo.rows.BadRow` for each row without text, which is left out; without it, that stops.
        model_name: what an interrupted work must have been done with to be continued.
        progress: called with the number of rows written so far.

    Returns:
        How many rows were written.

    Raises:
        FileExistsError: the output exists, or a partial one of another work.
        ValueError: as `zoo.rows.rows`.
    """
    source, output = Path(source), Path(output)
    if output.suffix not in FORMATS:
        raise ValueError(f"`output` must end in one of {', '.join(FORMATS)}. Received: output={str(output)!r}")

    def contents(block, first):
        taken = sorted({"predicted_label", "probability"} & block[0].record.keys())
        if taken:
            raise ValueError(f"{source} has a column {taken[0]!r} already, which would be lost; rename it.")
        results = model.classify([row.text for row in block])
        records = [
            {**row.record, "predicted_label": result.label, "probability": round(result.probability, 6)}
            for row, result in zip(block, results)
        ]
        return _lines(records, output.suffix, header=first)

    work = {"column": text_column, "model": model_name}
    return _in_blocks(source, output, work, rows(source, text_column, None, bad), contents, progress)


def translate_file(model, source, output, model_name="", progress=None, **search):
    """Translates every line of a file into a line of another file, as `classify_file` works.

    Args:
        model: a `zoo.models.Translator`.
        source: path of a UTF-8 file, also `.gz` or `.xz`.
        output: path of a file that does not exist.
        model_name, progress: as in `classify_file`.
        search: arguments of `zoo.models.Translator.translate`.

    Returns:
        How many lines were written: as many as the source has. A translation is always one line, an empty one of an
        empty line.
    """

    def contents(block, first):
        return "".join(f"{text}\n" for text in model.translate([line.text for line in block], **search))

    found = itertools.starmap(Line, enumerate(lines(source), 1))
    return _in_blocks(Path(source), Path(output), {"search": search, "model": model_name}, found, contents, progress)


def _in_blocks(source, output, work, items, contents, progress):
    """Writes what `contents(block, first)` makes of the items, which have a `line`, and remembers how far it came."""
    if output.exists():
        raise FileExistsError(f"{output} exists. Remove it, or choose another name.")
    partial, position = (output.with_name(output.name + ending) for ending in (".partial", ".position"))
    status = source.stat()
    work = {"source": str(source.resolve()), "bytes": status.st_size, "modified": status.st_mtime_ns, **work}
    done = _position(position, partial, work)
    written, last_line = done["written"], done["line"]
    with partial.open("r+b" if partial.exists() else "w+b") as file:
        file.truncate(done["end"])
        file.seek(0, io.SEEK_END)
        found = (item for item in items if item.line > last_line)
        while block := list(itertools.islice(found, BLOCK)):
            file.write(contents(block, first=written == 0).encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
            written += len(block)
            done = {"written": written, "line": block[-1].line, "end": file.tell()}
            atomic_write(position, strict_json.to_bytes({"work": work, **done}))
            if progress is not None:
                progress(written)
    partial.replace(output)
    position.unlink(missing_ok=True)
    return written


def _position(position, partial, work):
    """How far an interrupted work came."""
    if not position.exists():
        partial.unlink(missing_ok=True)
        return {"written": 0, "line": 0, "end": 0}
    with contextlib.suppress(ValueError):
        record = json.loads(position.read_bytes())
        if record["work"] == work and partial.exists() and partial.stat().st_size >= record["end"]:
            return record
    raise FileExistsError(
        f"{position} belongs to another work: another model, or its input has changed. Remove it to start again."
    )


def _lines(records, suffix, header):
    if FORMATS[suffix] is None:
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, records[0].keys(), delimiter=FORMATS[suffix], lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
