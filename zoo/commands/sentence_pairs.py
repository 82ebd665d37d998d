"""The options that name pairs of sentences, for the commands that train or measure translators."""

from pathlib import Path

NAMES = ("source", "target", "tsv")


def arguments(add):
    add("--source", type=Path, help="for a translator: file with a sentence in each line; .gz and .xz too")
    add("--target", type=Path, help="for a translator: file with the translations")
    add("--tsv", type=Path, help="for a translator, instead of both: file with source, tab, target in each line")


def given(options):
    """Whether there are any."""
    if bool(options.source) != bool(options.target) or (options.source and options.tsv):
        raise ValueError("Give --source and --target, or --tsv.")
    return bool(options.source or options.tsv)
