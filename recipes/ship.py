"""Puts the best checkpoint of a training among the shipped ones, and writes all that is generated from them.

python recipes/ship.py runs/mlstm-shakespeare         # to checkpoints/mlstm-shakespeare; then the tables
python recipes/ship.py                                # only the cards, MODEL_CARDS.md and zoo/presets.py
"""

import argparse
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a clone works without installation

from recipes import about  # noqa: E402
from zoo import cards, checkpoint  # noqa: E402
from zoo.atomic_files import atomic_write  # noqa: E402


def presets(infos, root):
    """The text of `zoo/presets.py`."""
    lines = ['"""The models that have a name. A table of data, written by `recipes/ship.py`."""', "", "PRESETS = {"]
    for info in infos:
        manifest = (root / "checkpoints" / info["name"] / "manifest.json").read_bytes()
        lines += [
            f'    "{info["name"]}": {{',
            f'        "task": "{info["task"]}",',
            f'        "manifest_sha256": "{hashlib.sha256(manifest).hexdigest()}",',
            "    },",
        ]
    return "\n".join([*lines, "}", ""])


def generated(root=ROOT):
    """The files that are generated from the checkpoints: path to text."""
    folders = sorted(path.parent for path in (root / "checkpoints").glob("*/manifest.json"))
    infos = [checkpoint.describe(folder) for folder in folders]
    return {root / "MODEL_CARDS.md": cards.model_cards(infos), root / "zoo" / "presets.py": presets(infos, root)}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="folder of a training")
    parser.add_argument("--name", help="name of the checkpoint; without it, that of the folder")
    options = parser.parse_args(argv)
    if options.run is not None:
        name = options.name or options.run.name
        checkpoint.copy(checkpoint.resolve(options.run), ROOT / "checkpoints" / name)
    for folder in sorted(path.parent for path in (ROOT / "checkpoints").glob("*/manifest.json")):
        checkpoint.update_manifest(folder, **about.entries(folder.name, checkpoint.read_manifest(folder)))
    for path, text in generated().items():
        atomic_write(path, text.encode())


if __name__ == "__main__":
    main()
