"""Puts the best checkpoint of a training among the shipped ones, and writes all that is generated from them.

python recipes/ship.py runs/mlstm-shakespeare         # to checkpoints/mlstm-shakespeare; then the tables
python recipes/ship.py                                # only the cards, MODEL_CARDS.md and zoo/presets.py
python recipes/ship.py --published zoo/mlstm-shakespeare@COMMIT   # where those find it who have not the checkpoints
"""

import argparse
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a clone works without installation

from recipes import about  # noqa: E402
from zoo import cards, checkpoint, hub  # noqa: E402
from zoo.atomic_files import atomic_write  # noqa: E402
from zoo.presets import PRESETS  # noqa: E402


def presets(infos, root, pins):
    """The text of `zoo/presets.py`; `pins` are the entries `hub` of those that have one."""
    lines = ['"""The models that have a name. A table of data, written by `recipes/ship.py`."""', "", "PRESETS = {"]
    for info in infos:
        manifest = (root / "checkpoints" / info["name"] / "manifest.json").read_bytes()
        lines += [
            f'    "{info["name"]}": {{',
            f'        "task": "{info["task"]}",',
            f'        "manifest_sha256": "{hashlib.sha256(manifest).hexdigest()}",',
        ]
        if info["name"] in pins:
            entries = (f'            "{key}": "{value}",' for key, value in pins[info["name"]].items())
            lines += ['        "hub": {', *entries, "        },"]
        lines.append("    },")
    return "\n".join([*lines, "}", ""])


def pin(name):
    """The entry `hub` of a published model: its repository, its commit, and what its manifest hashes to."""
    on_hub = hub.parse(name)
    if on_hub is None or not on_hub.is_pinned:
        raise ValueError(f"--published wants owner/name@COMMIT, the commit in 40 digits. Received: {name!r}")
    manifest = (hub.fetch(on_hub) / "manifest.json").read_bytes()
    return {
        "repo": on_hub.repo,
        "revision": on_hub.revision,
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
    }


def generated(root=ROOT, pins=None):
    """The files that are generated from the checkpoints: path to text."""
    pins = {name: preset["hub"] for name, preset in PRESETS.items() if "hub" in preset} | (pins or {})
    folders = sorted(path.parent for path in (root / "checkpoints").glob("*/manifest.json"))
    infos = [checkpoint.describe(folder) for folder in folders]
    return {root / "MODEL_CARDS.md": cards.model_cards(infos), root / "zoo" / "presets.py": presets(infos, root, pins)}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="folder of a training")
    parser.add_argument("--name", help="name of the checkpoint; without it, that of the folder")
    parser.add_argument("--published", metavar="OWNER/NAME@COMMIT", help="of the checkpoint with the same name")
    options = parser.parse_args(argv)
    if options.run is not None:
        name = options.name or options.run.name
        checkpoint.copy(checkpoint.resolve(options.run), ROOT / "checkpoints" / name)
    for folder in sorted(path.parent for path in (ROOT / "checkpoints").glob("*/manifest.json")):
        checkpoint.update_manifest(folder, **about.entries(folder.name, checkpoint.read_manifest(folder)))
    pins = {options.published.partition("@")[0].partition("/")[2]: pin(options.published)} if options.published else {}
    for path, text in generated(pins=pins).items():
        atomic_write(path, text.encode())


if __name__ == "__main__":
    main()
