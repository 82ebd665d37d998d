"""`zoo evaluate`."""

import argparse
import functools
import json
import math
import time
from pathlib import Path

from zoo import dynamic_evaluation
from zoo.commands import search, sentence_pairs
from zoo.commands.terminal import MODEL, TABLE, load, progress, report_skipped
from zoo.evaluation import evaluate
from zoo.pairs import pairs
from zoo.rows import rows
from zoo.text_files import read_text
from zoo.translation_scores import evaluate_translations

SUMMARY = "measure a language model on a text, a classifier on labelled texts, or a translator on translations"
COLUMNS = ("text_column", "label_column")


def arguments(add):
    add("model", help=MODEL)
    optional = functools.partial(add, default=argparse.SUPPRESS)
    add("--text", type=Path, help="for language models: UTF-8 file; .gz and .xz too")
    optional("--last", type=float, help="only the last part of the text, such as 0.1 for its last tenth")
    optional("--dynamic", type=float, help="go on learning from the text, at this learning rate (dynamic evaluation)")
    add("--data", type=Path, help=f"for classifiers: {TABLE}")
    optional("--text-column", help="column with the text (default: text)")
    optional("--label-column", help="column with the label (default: label)")
    optional("--bad-rows", choices=("error", "skip"), help="what to do about bad rows (default: error)")
    sentence_pairs.arguments(add)
    search.arguments(add)
    add("--json", action="store_true", help="print JSON")


def run(options):
    start = time.monotonic()
    found = {**figures(options), "seconds": round(time.monotonic() - start, 2)}
    if options.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        print(f"{key:20} {value:.4f}" if isinstance(value, float) else f"{key:20} {value}")


def figures(options):
    """What the model of these options does on their data, a dict."""
    kinds = [  # what tells the task, how it is measured, and the options that it has
        (bool(options.text), _language_model, ("last", "dynamic")),
        (bool(options.data), _classifier, (*COLUMNS, "bad_rows")),
        (sentence_pairs.given(options), _translator, search.NAMES),
    ]
    if [given for given, _, _ in kinds].count(True) != 1:
        raise ValueError(
            "Give --text for language models, --data for classifiers; --source and --target or --tsv for translators."
        )
    for given, _, names in kinds:
        for name in names:
            if not given and hasattr(options, name):
                raise ValueError(f"--{name.replace('_', '-')} is for models of another task.")
    return next(one for given, one, _ in kinds if given)(options)


def _translator(options):
    found = pairs(options.tsv or options.source, options.target)
    model = load(options.model, "translation")
    return evaluate_translations(model, found, progress("sentences", of_all=True), **search.given(options))


def _classifier(options):
    model = load(options.model, "text-classification")
    columns = {name: getattr(options, name) for name in COLUMNS if hasattr(options, name)}
    bad = report_skipped if getattr(options, "bad_rows", "error") == "skip" else None
    return evaluate(model, rows(options.data, **columns, bad=bad), progress("rows"))


def _language_model(options):
    last = getattr(options, "last", 1.0)
    if not 0 < last <= 1:
        raise ValueError(f"`--last` must be above 0 and at most 1. Received: {last}")
    text = read_text(options.text)
    text = text[int(len(text) * (1 - last)) :]
    if not text:
        raise ValueError(f"There is nothing to evaluate: {options.text} is empty.")
    model, report = load(options.model, "language-model"), progress("tokens", of_all=True)
    if hasattr(options, "dynamic"):
        score = dynamic_evaluation.score(model, text, options.dynamic, progress=report)
    else:
        score = model.score(text, progress=report)
    names = "nats_per_character bits_per_character bits_per_byte perplexity word_perplexity characters words".split()
    found = {name: getattr(score, name) for name in names}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
