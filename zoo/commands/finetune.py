"""`zoo finetune`."""

import argparse
import functools
import shlex
from pathlib import Path

import zoo
from zoo.commands import sentence_pairs
from zoo.commands.terminal import MODEL, TABLE

SUMMARY = "turn a pretrained model into a classifier, or a translator, of your own"
TRAINING = ("epochs", "learning_rate", "bad_rows", "seed")
LABELS = ("text_column", "label_column", "class_weights")


def arguments(add):
    add = functools.partial(add, default=argparse.SUPPRESS)
    add("model", help=MODEL)
    add("--data", type=Path, default=None, help=f"for a classifier: {TABLE}")
    sentence_pairs.arguments(functools.partial(add, default=None))
    add("--text-column", help="for a classifier: column with the text (default: text)")
    add("--label-column", help="for a classifier: column with the label (default: label)")
    add("--output", required=True, type=Path, help="folder of the new model; interrupted, the same command goes on")
    add("--epochs", type=int, help="at most (default: 6, of a translator 5)")
    add("--learning-rate", type=float, help="at its peak (default: 0.001, of a translator 0.0005)")
    add("--class-weights", choices=("balanced",), help="for a classifier: let every label count alike, however rare")
    add("--bad-rows", choices=("error", "skip"), help="what to do about rows without text or label (default: error)")
    add("--seed", type=int, help="(default: 1)")


def run(options):
    pairs_given = sentence_pairs.given(options)
    if bool(options.data) == pairs_given:
        raise ValueError("Give --data for a classifier; --source and --target, or --tsv, for a translator.")
    wanted = {name: value for name, value in vars(options).items() if name in (*TRAINING, *LABELS)}
    told = {"output": options.output, "command": command(options), "report": functools.partial(print, flush=True)}
    if not pairs_given:
        zoo.finetune(options.model, options.data, **wanted, **told)
        print(f'zoo classify {options.output} "..."')
        return
    for name in LABELS:
        if name in wanted:
            raise ValueError(f"--{name.replace('_', '-')} is for classifiers; pairs of sentences have no labels.")
    zoo.finetune_translator(options.model, options.tsv or options.source, options.target, **wanted, **told)
    print(f'zoo translate {options.output} "..."')


def command(options):
    """The command line that repeats this training."""
    words = ["zoo", "finetune", options.model]
    for name in ("data", *sentence_pairs.NAMES, *LABELS, *TRAINING):
        value = getattr(options, name, None)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", value.name if isinstance(value, Path) else str(value)]
    return shlex.join([*words, "--output", options.output.name])
