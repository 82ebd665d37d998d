"""What the commands have in common: the model they are given, and what they say while they work."""

import functools
import sys

import zoo

MODEL = "name of a shipped model, folder of a model or a training, or owner/name[@revision] on the hub"
TABLE = ".csv, .tsv or .jsonl file; .gz and .xz too"


def load(name, task):
    """The model, which must be for this task."""
    model = zoo.load(name)
    if model.task != task:
        raise ValueError(f"{name} is a model for {model.task}; this command wants one for {task}.")
    return model


def progress(unit, of_all=False):
    """What writes the number of units done (and in all) where somebody watches; else None."""
    if not sys.stderr.isatty():
        return None
    write = functools.partial(print, end="", file=sys.stderr, flush=True)
    if of_all:
        return lambda done, total: write(f"\r{done:,} of {total:,} {unit}")
    return lambda done: write(f"\r{done:,} {unit}")


def report_skipped(error):
    """Says which row is left out, and why."""
    print(f"zoo: skipped: {error}", file=sys.stderr)
