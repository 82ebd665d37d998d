"""The whole circle: a published model, fine-tuned on a file, evaluated, and published with its base named.

python recipes/finetune.py alice/film-reviews --data tickets.csv --text-column body --label-column queue \
    --output runs/queues --to alice/queues
"""

import argparse
import functools
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import zoo  # noqa: E402
from recipes import messages  # noqa: E402
from zoo.evaluation import evaluate  # noqa: E402
from zoo.rows import rows  # noqa: E402

FIGURES = ("accuracy", "f1", "calibration_error", "log_loss")


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("base", help="as in zoo.load: a name on the hub, of a shipped model, or a folder")
    add("--data", required=True, type=Path, help=".csv, .tsv or .jsonl with texts and labels")
    add("--test", type=Path, help="as --data, for the figure; without it, that of the held-back tenth stands")
    add("--text-column", default="text")
    add("--label-column", default="label")
    add("--output", required=True, type=Path, help="folder of the run; interrupted, the same command goes on")
    add("--epochs", type=int, default=6)
    add("--to", metavar="OWNER/NAME", help="publish it there")
    add("--license", help="for the card, such as mit")
    add("--public", action="store_true", help="a new repository is seen by everybody")
    return parser.parse_args(argv)


def main(argv=None):
    options = arguments(argv)
    columns = {"text_column": options.text_column, "label_column": options.label_column}
    flags = [word for name, value in columns.items() for word in (f"--{name.replace('_', '-')}", value)]
    words = ["python", "recipes/finetune.py", options.base, "--data", options.data.name, *flags]
    words += ["--epochs", str(options.epochs)]
    model = zoo.finetune(
        options.base,
        options.data,
        **columns,
        output=options.output,
        epochs=options.epochs,
        command=shlex.join([*words, "--output", f"runs/{options.output.name}"]),
        report=functools.partial(print, flush=True),
    )
    if options.test:
        figures = evaluate(model, rows(options.test, **columns))
        metric = {
            "data": f"{options.test.name}, {figures['examples']:,} texts",
            "figures": {name: figures[name] for name in FIGURES},
            "command": shlex.join(["zoo", "evaluate", options.output.name, "--data", options.test.name, *flags]),
        }
        zoo.checkpoint.update_manifest(options.output / "best", metrics=[metric])
        print(f"test: accuracy {figures['accuracy']:.4f}, F1 {figures['f1']:.4f}")
    if options.to:
        about = {"license": options.license} if options.license else None
        done = zoo.publish(options.output, options.to, private=not options.public, about=about)
        print(f"{done.url}\nzoo.load({done.repo!r}, revision={done.commit!r})")


if __name__ == "__main__":
    with messages():
        main()
