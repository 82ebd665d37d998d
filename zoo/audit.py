"""Everything that a checkpoint claims, checked and told line by line: hashes, schemas, card, and its figures again."""

import argparse
import math
import shlex
from pathlib import Path
from typing import NamedTuple

from zoo import card_metadata, checkpoint, loading, verification
from zoo.commands import evaluate
from zoo.errors import ZooError
from zoo.stored_weights import parse

FILES = ("text", "data", "source", "target", "tsv")  # options of `zoo evaluate` that name one
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
    place = loading.find(name)
    folder, sha256 = checkpoint.resolve(place.folder), place.manifest_sha256
    yield from _files(folder, sha256)
    try:
        found = checkpoint.verify(folder, sha256)
    except ZooError:
        return
    manifest = found.manifest
    yield _card(found)
    for metric in manifest.get("metrics", []):
        claim = f"{', '.join(metric['figures'])} on {metric['data']}"
        yield Finding(claim, *_again(folder, metric, data))


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
    expected = card_metadata.expected_figures(found.manifest)
    try:
        shown = card_metadata.figures(found.contents["README.md"].decode("utf-8", "replace"))
    except ValueError as error:
        return Finding("card", False, f"the hub cannot read its head: {error}")
    if sorted(shown) != sorted(expected):
        odd = sorted(set(shown) ^ set(expected))[:1]
        return Finding("card", False, f"shows other figures than the manifest: {odd!s:.200}")
    return Finding("card", True, f"a head that the hub can read, with the manifest's {len(shown)} figures")


def _again(folder, metric, data):
    """Whether the figures come out again: `(holds, detail)`."""
    command = metric["command"]
    if not evaluates(command):
        return None, f"no evaluation but a training gives it again: {command}"
    if data is None:
        return None, f"not measured (--data FOLDER does): {command}"
    try:
        found = figures(folder, command, data)
    except _NotThere as error:
        return None, f"not measured: {error}"
    except (ZooError, ValueError, TypeError, OSError) as error:
        return False, f"{error!s:.200}: {command}"
    odd = {key: found.get(key) for key, value in metric["figures"].items() if not _close(found.get(key), value)}
    if odd:
        return False, ", ".join(f"{key} {value}, not {metric['figures'][key]:.6g}" for key, value in odd.items())
    return True, "again " + ", ".join(f"{key} {found[key]:.6g}" for key in metric["figures"])


def evaluates(command):
    """Whether a command of a manifest is one of `zoo evaluate`."""
    return command.split()[:2] == ["zoo", "evaluate"]


def figures(folder, command, data):
    """What a command of `zoo evaluate` tells, for the checkpoint in `folder` and the files of that name in `data`.

    Raises:
        FileNotFoundError: a file that it names is not there.
        ValueError: it is not such a command.
    """
    options = _Parser.of_evaluate().parse_args(shlex.split(command)[2:])
    missing = _place(options, data)
    if missing:
        raise _NotThere(f"{', '.join(missing)} is not in {data}")
    options.model = folder
    return evaluate.figures(options)


class _NotThere(FileNotFoundError):
    """A file that a command names is not in the folder of the data."""


class _Parser(argparse.ArgumentParser):
    """Of the options of `zoo evaluate` in a command that a stranger may have written."""

    @classmethod
    def of_evaluate(cls):
        parser = cls(add_help=False, allow_abbrev=False)
        evaluate.arguments(parser.add_argument)
        return parser

    def error(self, message):
        raise ValueError(message)


def _place(options, data):
    """Puts files of the folder `data` in the place of those that are named, and gives the names of those not there."""
    deepest_first = sorted(Path(data).rglob("*"), key=lambda path: (-len(path.parts), path))
    there = {path.name: path for path in deepest_first if path.is_file()}
    missing = []
    for option in FILES:
        named = getattr(options, option)
        if named is not None:
            found = next((there[name] for suffix in ("", ".xz", ".gz") if (name := named.name + suffix) in there), None)
            setattr(options, option, found)
            missing += [] if found else [named.name]
    return missing


def _close(found, figure):
    return isinstance(found, int | float) and math.isclose(found, figure, rel_tol=CLOSE)
