"""What the stages of `recipes/sentiment.py` say of themselves: the command that repeats them, and their figures."""

import shlex
from pathlib import Path

import zoo
from zoo import checkpoint
from zoo.evaluation import evaluate
from zoo.rows import rows

NO_RESULT = ("output", "checkpoint_minutes", "distribute", "stage", "test", "card")  # they do not change the weights


def command(options, parser, tested=False):
    """The command line that repeats this run, without what does not change its result."""
    words = ["python", "recipes/sentiment.py", options.stage]
    for name, value in vars(options).items():
        if name in NO_RESULT and not (tested and name == "test") or value == parser.get_default(name):
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        if name == "model":
            values = [f"runs/{Path(model).name}" if Path(model).is_dir() else model for model in values]
        values = [v.name if isinstance(v, Path) else str(v) for v in values]
        words += values if name == "model" else ["--" + name.replace("_", "-"), *values]
    return shlex.join([*words, "--output", f"runs/{options.output.name}"])


def final_figures(options, parser, how):
    """The final figures, for the checkpoint's own card and another's."""
    if not options.test:
        return
    found = evaluate(zoo.load(options.output), rows(options.test, options.text_column, options.label_column))
    columns = ["--text-column", options.text_column, "--label-column", options.label_column]
    metric = {
        "data": f"{corpus_name(options.test)}, {found['examples']:,} texts",
        "figures": {name: found[name] for name in ("accuracy", "f1", "calibration_error", "log_loss")},
        "command": shlex.join(["zoo", "evaluate", options.output.name, "--data", options.test.name, *columns]),
    }
    add_metric(options.output / "best", metric, first=True)
    if options.card:
        told = f"{metric['data']}, {how}"
        add_metric(options.card, {**metric, "data": told, "command": command(options, parser, tested=True)})
    for name, value in found.items():
        print(f"{name.replace('_', ' ')} {value:.4f}" if isinstance(value, float) else f"{name} {value}")


def corpus_name(path):
    """A file with its folder, which often has the name of the corpus."""
    return "/".join(path.absolute().parts[-2:])


def add_metric(folder, metric, first=False):
    """Puts a metric into the manifest of a checkpoint, instead of an older one on the same data."""
    others = [m for m in checkpoint.describe(folder).get("metrics", []) if m["data"] != metric["data"]]
    checkpoint.update_manifest(folder, metrics=[metric, *others] if first else [*others, metric])
