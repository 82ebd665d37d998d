"""Everything that a checkpoint claims, checked and told line by line: hashes, schemas, card, and its figures again."""

import functools
import math
import shlex
from pathlib import Path
from typing import NamedTuple

from zoo import card_metadata, checkpoint, loading, verification
from zoo.errors import ZooError
from zoo.stored_weights import parse

FILES = ("--text", "--data", "--source", "--target", "--tsv")  # options that name one
CLOSE = 2e-3  # relative difference within which a figure is the same on another machine


class Finding(NamedTuple):
    """One claim.

    Attributes:
        claim: str.
        holds: True, False, or None if it was not looked at.
        detail: str.
    """

    claim: str
    holds: bool | None
    detail: str


def audit(name, data=None):
    """Checks a checkpoint.

    Args:
        name: as in `zoo.load`.
        data: folder with the files on which the figures were measured, at any depth; None to leave the figures alone.

    Yields:
        `Finding`s. After one that does not hold, what depends on it is left out.

    Raises:
        UnknownModel, HubUnavailable: see `zoo.errors`.
    """
    folder, sha256 = loading.find(name)
    folder = checkpoint.resolve(folder)
    yield from _files(folder, sha256)
    try:
        found = checkpoint.verify(folder, sha256)
    except ZooError:
        return
    manifest = found.manifest
    yield _card(found)
    for metric in manifest.get("metrics", []):
        claim = f"{', '.join(metric['figures'])} on {metric['data']}"
        yield Finding(claim, *_again(name, metric, data))


def _files(folder, sha256):
    """Findings about what is there, in the order in which loading checks it."""
    manifest, config, architecture = None, None, None
    for file in ("manifest.json", *verification.FILES):
        try:
            if file == "manifest.json":
                manifest = verification.read_manifest(folder, sha256)
                detail = "as this package knows it" if sha256 else "schema; vouches for itself"
            else:
                verification.check_file(folder, file, manifest)
                detail = "size, sha256"
            if file == "config.json":
                config, architecture = verification.read_config(folder, manifest)
                detail += ", schema"
            if file == "tokenizer.json":
                verification.read_tokenizer(folder, manifest)
                detail += ", schema"
            if file == "model.safetensors" and architecture is not None:
                data = (folder / file).read_bytes()
                parse(data, architecture.weight_shapes(), config["weights"], folder / file)
                detail += ", names, shapes, finite"
            yield Finding(file, True, detail)
        except (ZooError, OSError) as error:
            yield Finding(file, False, str(error))
            if manifest is None:
                return


def _card(found):
    """Whether the figures at the head of the card, which the hub shows, are those of the manifest."""
    claim, expected = "card", [v for metric in found.manifest.get("metrics", []) for v in metric["figures"].values()]
    try:
        shown = card_metadata.figures(found.contents["README.md"].decode("utf-8", "replace"))
    except ValueError as error:
        return Finding(claim, False, f"the hub cannot read its head: {error}")
    if sorted(shown) != sorted(expected):
        return Finding(claim, False, f"shows the figures {shown}, the manifest has {expected}")
    return Finding(claim, True, f"a head that the hub can read, with the manifest's {len(shown)} figures")


def _again(name, metric, data):
    """Whether the figures come out again: `(holds, detail)`."""
    words = shlex.split(metric["command"])
    if words[:2] != ["zoo", "evaluate"]:
        return None, f"no evaluation but a training gives it again: {metric['command']}"
    if data is None:
        return None, f"not measured (--data FOLDER does): {metric['command']}"
    files = _placed(words, Path(data))
    missing = [word for word, path in files.items() if path is None]
    if missing:
        return None, f"not measured: {', '.join(missing)} is not in {data}"
    found = _measured([str(name) if i == 2 else str(files.get(word, word)) for i, word in enumerate(words)][1:])
    off = {
        key: found[key]
        for key, value in metric["figures"].items()
        if key in found and not math.isclose(found[key], value, rel_tol=CLOSE)
    }
    known = [key for key in metric["figures"] if key in found]
    if off:
        return False, ", ".join(f"{key} {found:.6g}, not {metric['figures'][key]:.6g}" for key, found in off.items())
    return True, "again " + ", ".join(f"{key} {found[key]:.6g}" for key in known)


def _placed(words, folder):
    """The files that a command names, each with its path in a folder, or None."""
    named = [file for option, file in zip(words, words[1:]) if option in FILES]
    found = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {file: found.get(Path(file).name) or found.get(f"{Path(file).name}.xz") for file in named}


@functools.cache
def _parser():
    from zoo.cli import parser

    return parser()


def _measured(words):
    """What `zoo evaluate` gives for the words after `zoo`."""
    from zoo.commands import evaluate

    return evaluate.figures(_parser().parse_args(words))
