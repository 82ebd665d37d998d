"""Saving, loading and verifying checkpoints: a folder of JSON, safetensors and hashes, in which nothing is code.

    config.json        the model: task, architecture, the type its weights are stored in
    tokenizer.json     its vocabulary
    model.safetensors  its weights
    README.md          its card, generated
    manifest.json      where it comes from, what it scores, and the size and sha256 of the other files

How they are checked is in `zoo.verification`.
"""

import contextlib
import hashlib
import math
import os
import shutil
import time
import uuid
from dataclasses import asdict
from pathlib import Path

import numpy as np
from keras import ops

from zoo import stored_weights, strict_json
from zoo.atomic_files import atomic_write, sync_folder
from zoo.cards import card
from zoo.verification import FILES, FORMAT_VERSION, MANIFEST_SCHEMA, MODELS, read_config, read_manifest, verify

BEST = "best"  # the checkpoint inside the folder of a training
ABANDONED = 3600  # seconds after which an unfinished save is taken for a dead one


def save(model, folder, manifest=None, dtype="float32"):
    """Writes a model to a folder that `zoo.load` opens.

    The folder appears whole or not at all; a checkpoint that is there already is replaced.

    Args:
        model: a model of the zoo.
        folder: path. It must not exist, be empty, or be a checkpoint.
        manifest: dict of what is known about the model, kept in `manifest.json` and shown in the card.
        dtype: type of the stored weights, `"float32"`, `"float16"` or `"int8"`, see `zoo.stored_weights`.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: a weight is not finite, or too large for float16; the manifest has entries that it cannot have.
        OSError: the folder cannot be written.

    Example:

    >>> model = zoo.models.LanguageModel(
    ...     zoo.models.LanguageModelConfig(256, units=4), zoo.tokenizers.ByteTokenizer())
    >>> folder = tmp_path / "my-model"
    >>> zoo.save(model, folder)
    >>> zoo.load(folder).config == model.config
    True
    """
    if dtype not in stored_weights.DTYPES:
        raise ValueError(f"`dtype` must be one of {list(stored_weights.DTYPES)}. Received: dtype={dtype!r}")
    if type(model) not in MODELS.values():
        raise TypeError(f"`model` must be a model of the zoo. Received: {type(model).__name__}")
    weights = {name: ops.convert_to_numpy(weight) for name, weight in model.named_weights().items()}
    arrays = stored_weights.encode(weights, dtype)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"The weight {name!r} is not finite as {dtype}. Nothing was saved.")
    config = {"format_version": FORMAT_VERSION, "task": model.task, "weights": dtype, "model": asdict(model.config)}
    contents = {
        "config.json": strict_json.to_bytes(config),
        "tokenizer.json": strict_json.to_bytes(model.tokenizer.to_json()),
        "model.safetensors": stored_weights.to_bytes(arrays),
    }
    _write(folder, contents, config, manifest or {})


def update_manifest(folder, **entries):
    """Adds entries to the manifest of a checkpoint, and generates its card again."""
    copy(folder, folder, **entries)


def copy(source, folder, **entries):
    """Copies a checkpoint, with further entries in its manifest and the new folder's name on its card."""
    found = verify(_current(Path(source)))
    contents = {name: found.contents[name] for name in FILES if name != "README.md"}
    _write(folder, contents, found.config, {**found.manifest, **entries})


def load(folder, manifest_sha256=None):
    """The model of a checkpoint folder, or of the folder of a training; see `zoo.load`.

    Args:
        folder: path.
        manifest_sha256: what the manifest must hash to, where that is known.

    Raises:
        CorruptCheckpoint, UnsafeCheckpoint, IncompatibleCheckpoint: see `zoo.errors`.
    """
    found = verify(resolve(folder), manifest_sha256)
    model_class = MODELS[found.config["task"]]
    model = model_class(model_class.config_class(**found.config["model"]), found.tokenizer)
    for name, weight in model.named_weights().items():
        weight.assign(found.weights[name].astype(weight.dtype))
    return model


def resolve(folder):
    """The checkpoint of a path: the folder itself, or the best one of a training that was written there."""
    folder = Path(folder)
    best = _current(folder / BEST)
    return best if best.is_dir() and not (folder / "manifest.json").exists() else _current(folder)


def describe(folder, name=None, manifest_sha256=None):
    """What `zoo.info` gives: the verified configuration and manifest of a checkpoint."""
    folder = Path(folder)
    manifest = read_manifest(folder, manifest_sha256)
    config, architecture = read_config(folder, manifest)
    return {
        "name": name or folder.name,
        "folder": str(folder),
        "task": config["task"],
        "model": config["model"],
        "parameters": sum(math.prod(shape) for shape in architecture.weight_shapes().values()),
        "bytes": manifest["files"]["model.safetensors"]["size"],
        **{key: manifest[key] for key in ("description", "training", "metrics") if key in manifest},
    }


def sealed(name, contents, config, manifest):
    """All files of a checkpoint, with its card and, last, the manifest with their hashes.

    Args:
        name: for the card.
        contents: dict with the bytes of the other files.
        config: what `config.json` says.
        manifest: dict; what it says of files is made anew.

    Returns:
        Dict from the names of the files to bytes.
    """
    manifest = _own_manifest(manifest)
    text = card(name, config, manifest, len(contents["model.safetensors"]))
    contents = {**contents, "README.md": text.encode("utf-8", "replace")}
    contents = {file: contents[file] for file in FILES}
    manifest["files"] = {
        file: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for file, data in contents.items()
    }
    return {**contents, "manifest.json": strict_json.to_bytes(manifest)}


def _write(folder, contents, config, manifest):
    """Writes a checkpoint beside its place, then puts it there."""
    try:
        folder = Path(folder).expanduser().resolve()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"`folder` is not a path: {error}. Received: folder={folder!r:.200}") from None
    if folder.exists() and not _replaceable(folder):
        raise FileExistsError(f"{folder} exists and is not a checkpoint. Choose another folder, or remove it.")
    contents = sealed(folder.parent.name if folder.name == BEST else folder.name, contents, config, manifest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, previous = _temporary(folder), _previous(folder)
    try:
        temporary.mkdir()
        for name, data in contents.items():
            atomic_write(temporary / name, data)
        verify(temporary)
        if folder.exists():
            temporary.chmod(folder.stat().st_mode)
            _discard(previous, folder)
            folder.rename(previous)
        temporary.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if not folder.exists():
            with contextlib.suppress(OSError):
                previous.rename(folder)
        raise
    _discard(previous, folder)
    with contextlib.suppress(OSError):
        for litter in folder.parent.glob(_temporary(folder, "*").name):
            if litter.stat().st_mtime < time.time() - ABANDONED:
                _discard(litter, folder)


def _own_manifest(manifest):
    """The manifest that is to be written, without its `files`."""
    manifest = {"format_version": FORMAT_VERSION, **manifest}
    manifest.pop("files", None)
    schema = {**MANIFEST_SCHEMA, "required": ["format_version"]}
    try:
        return strict_json.parse(strict_json.to_bytes(manifest), schema)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"`manifest` cannot be stored: {error}. Nothing was saved.") from None


def _replaceable(folder):
    """Whether a path is a folder with nothing in it but a checkpoint."""
    if not folder.is_dir():
        return not folder.exists()  # another save may be putting its own in place just now
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}  # but .DS_Store and the like
    return not names or ("manifest.json" in names and names <= {*FILES, "manifest.json"})


def _current(folder):
    """The folder; or its previous state, if a save died between taking that away and placing the new one."""
    previous = _previous(folder)
    return previous if previous.is_dir() and not folder.exists() else folder


def _previous(folder):
    return folder.parent / f".{_digest(folder)}.previous"


def _temporary(folder, unique=None):
    return folder.parent / f".{_digest(folder)}.{unique or uuid.uuid4().hex}.tmp"


def _digest(folder):
    return hashlib.sha256(os.fsencode(folder.name)).hexdigest()[:16]  # a name itself may be too long already


def _discard(litter, folder):
    """Removes what a save of `folder` left; renamed first, so that nobody sees it half removed."""
    with contextlib.suppress(OSError):
        litter.rename(doomed := _temporary(folder))
        shutil.rmtree(doomed)
