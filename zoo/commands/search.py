"""The options of beam search, for the commands that translate."""

import argparse

NAMES = ("beam_width", "length_penalty", "coverage_penalty")


def arguments(add):
    for flag, kind, meaning in (
        ("--beam-width", int, "hypotheses that are followed; 1 is greedy search (default 5)"),
        ("--length-penalty", float, "0 favours short translations (default 0.6)"),
        ("--coverage-penalty", float, "above 0 favours looking at all of the source (default 0)"),
    ):
        add(flag, type=kind, default=argparse.SUPPRESS, help=meaning)


def given(options):
    """Those that were given; the others are the model's own."""
    return {name: getattr(options, name) for name in NAMES if hasattr(options, name)}
