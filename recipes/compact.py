"""Stores the weights of a checkpoint in a smaller type, and measures what that does to its figures.

    python recipes/compact.py runs/mlstm-wikitext2 --store int8 --data wikitext2 --output runs/int8/mlstm-wikitext2

Each figure that `zoo evaluate` gives is measured again, with the files of `--data`; manifest and card state both. A
figure that only a training gives again is left as it is.
"""

import argparse
import sys
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
    found = checkpoint.verify(checkpoint.resolve(zoo.loading.find(options.model).folder))
    metrics = found.manifest.get("metrics", [])
    manifest = {key: value for key, value in found.manifest.items() if key not in ("files", "metrics")}
    zoo.save(zoo.load(options.model), options.output, manifest, dtype=options.store)
    before = {"weights": found.config["weights"]}
    metrics = [_again(metric, before, options) if audit.evaluates(metric["command"]) else metric for metric in metrics]
    checkpoint.update_manifest(options.output, metrics=metrics)


def _again(metric, before, options):
    """The metric, of the weights as they are stored now."""
    found = audit.figures(options.output, metric["command"], options.data)
    figures = {key: found[key] for key in metric["figures"]}
    for key, value in figures.items():
        print(f"{metric['data']}: {key.replace('_', ' ')} {metric['figures'][key]:.6g}, now {value:.6g}", flush=True)
    return {**metric, "figures": figures, "before": {**before, "figures": metric["figures"]}}


if __name__ == "__main__":
    with messages():
        main()
