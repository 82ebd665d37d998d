"""`zoo classify`."""

import json
from pathlib import Path

from zoo.bulk import classify_file
from zoo.commands.terminal import MODEL, TABLE, load, progress, report_skipped

SUMMARY = "label texts"


def arguments(add):
    add("model", help=MODEL)
    add("text", nargs="*", help="texts to label")
    add("--file", type=Path, help=f"label every row of a {TABLE}")
    add("--text-column", default="text", help="column of the file with the text (default: text)")
    add("--output", type=Path, help="where to write the rows of the file with their labels: .csv, .tsv or .jsonl")
    add("--bad-rows", choices=("error", "skip"), default="error", help="what to do about rows without text")
    add("--json", action="store_true", help="print JSON, with the probability of every label")


def run(options):
    if bool(options.text) == bool(options.file) or bool(options.file) != bool(options.output):
        raise ValueError("Give texts to label; or --file, with --output.")
    if options.file and options.json:
        raise ValueError("--json is for texts; of a file's labels, --output tells the format by its ending.")
    model = load(options.model, "text-classification")
    if options.file:
        bad = report_skipped if options.bad_rows == "skip" else None
        count = classify_file(model, options.file, options.output, options.text_column, bad, progress("rows"))
        print(f"{count:,} rows in {options.output}")
        return
    for text, result in zip(options.text, model.classify(options.text)):
        if options.json:
            print(json.dumps({"text": text, **result._asdict()}, ensure_ascii=False))
        else:
            print(f"{result.label}  {result.probability:.4f}  {text}")
