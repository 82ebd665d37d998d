"""Stores the weights of a checkpoint in a smaller type, and measures what that does to its figures.

    python recipes/compact.py runs/mlstm-wikitext2 --store float16 --data wikitext2 \\
        --output runs/float16/mlstm-wikitext2

Each figure that `zoo evaluate` gives is measured again, with the files of `--data`; manifest and card state both. A
figure that only a training gives again is left as it is. The new checkpoint appears when all is measured; the old one
stays as it is.
"""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import zoo  # noqa: E402
from recipes import messages  # noqa: E402
from zoo import audit, checkpoint  # noqa: E402
from zoo.stored_weights import DTYPES  # noqa: E402


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a checkpoint or of a training, or a name for zoo.load")
    parser.add_argument("--store", choices=DTYPES, required=True, help="type of the weights on disk")
    parser.add_argument("--data", type=Path, required=True, help="folder with the files that the figures are of")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")
    options = parser.parse_args(argv)
    folder = checkpoint.resolve(zoo.loading.find(options.model).folder)
    found = checkpoint.verify(folder)
    stored = found.config["weights"]
    if DTYPES.index(options.store) <= DTYPES.index(stored):
        raise ValueError(f"{options.model} is stored as {stored}: as {options.store} it would not be smaller.")
    if options.output.resolve() == folder.resolve():
        raise ValueError(f"{options.output} is the checkpoint itself: its weights would be lost. Name another folder.")
    command = ["python", "recipes/compact.py", f"runs/{Path(options.model).name}", "--store", options.store]
    command += ["--data", options.data.resolve().name, "--output", f"runs/{options.store}/{options.output.name}"]
    manifest = {key: value for key, value in found.manifest.items() if key not in ("files", "metrics")}
    manifest["training"] = {**manifest.get("training", {}), "stored": shlex.join(command)}
    with tempfile.TemporaryDirectory() as place:
        smaller = Path(place) / options.output.name
        zoo.save(zoo.load(folder), smaller, manifest, dtype=options.store)
        metrics = [_again(metric, stored, smaller, options.data) for metric in found.manifest.get("metrics", [])]
        checkpoint.copy(smaller, options.output, metrics=metrics)


def _again(metric, stored, smaller, data):
    """The metric, of the weights as they are stored now."""
    if not audit.evaluates(metric["command"]):
        return metric
    _, _, _, *options = shlex.split(metric["command"])  # zoo evaluate NAME
    command = shlex.join(["zoo", "evaluate", smaller.name, *options])
    found = audit.figures(smaller, command, data)
    figures = {key: found[key] for key in metric["figures"]}
    for key, value in figures.items():
        print(f"{metric['data']}: {key.replace('_', ' ')} {metric['figures'][key]:.6g}, now {value:.6g}", flush=True)
    before = metric.get("before", {"weights": stored, "figures": metric["figures"]})
    return {**metric, "figures": figures, "command": command, "before": before}


if __name__ == "__main__":
    with messages(interrupted="The same command begins anew."):
        main()
