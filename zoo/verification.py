"""Checks a checkpoint folder that a stranger may have made, before anything of it is used.

It verifies before it parses and parses before it allocates: size and hash of every file; the JSON against fixed schemas
with bounds; the names, types, shapes and offsets in the safetensors header against those that the configuration
implies; and last that every weight is finite.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from zoo import stored_weights, strict_json, tokenizers
from zoo.errors import CorruptCheckpoint, IncompatibleCheckpoint, UnsafeCheckpoint
from zoo.models.classifier import Classifier
from zoo.models.language_model import LanguageModel
from zoo.models.translator import Translator

FORMAT_VERSION = 1
MODELS = {model.task: model for model in (LanguageModel, Classifier, Translator)}
FILES = ("config.json", "tokenizer.json", "model.safetensors", "README.md")
LARGEST = {  # bytes
    "config.json": 2**16,
    "tokenizer.json": 2**23,
    "model.safetensors": 2**32,
    "README.md": 2**20,
    "manifest.json": 2**20,
}


class Checkpoint(NamedTuple):
    """What is in a verified checkpoint."""

    manifest: dict
    config: dict
    tokenizer: object
    weights: dict  # arrays by name, views of the file
    contents: dict  # bytes of each of FILES


def verify(folder, manifest_sha256=None):
    """Checks all of a checkpoint and gives what is in it, a `Checkpoint`."""
    folder = Path(folder)
    manifest = read_manifest(folder, manifest_sha256)
    config, architecture = read_config(folder, manifest)
    shapes, dtype = architecture.weight_shapes(), config["weights"]
    contents = {name: _verified_bytes(folder, name, manifest) for name in FILES}
    tokenizer = read_tokenizer(folder, manifest)
    if tokenizer.vocabulary_size != architecture.vocabulary_size:
        problem = f"it has {tokenizer.vocabulary_size} tokens, the model {architecture.vocabulary_size}"
        raise UnsafeCheckpoint(folder / "tokenizer.json", problem)
    weights = stored_weights.parse(contents["model.safetensors"], shapes, dtype, folder / "model.safetensors")
    return Checkpoint(manifest, config, tokenizer, weights, contents)


def read_manifest(folder, sha256=None):
    """The manifest of a checkpoint; `sha256` is what it must hash to, where that is known."""
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    if not any((folder / name).exists() for name in ("manifest.json", *FILES[:-1])):
        raise FileNotFoundError(f"{folder} is a folder without a checkpoint: there is no manifest.json in it.")
    if not path.is_file():
        raise CorruptCheckpoint(path, "a checkpoint's manifest.json", "no such file", "Is this folder a checkpoint?")
    data = _read(path)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, digest):
        raise CorruptCheckpoint(path, f"sha256 {sha256}", digest)
    return _parse(path, data, MANIFEST_SCHEMA)


def read_config(folder, manifest):
    """The verified configuration of a checkpoint, whose weights have the size it implies, and its dataclass."""
    path = folder / "config.json"
    config = _parse(path, _verified_bytes(folder, "config.json", manifest), _config_schema)
    try:
        architecture = MODELS[config["task"]].config_class(**config["model"])
    except ValueError as error:
        raise UnsafeCheckpoint(path, error) from None
    size = manifest["files"]["model.safetensors"]["size"]
    sizes = stored_weights.sizes(architecture.weight_shapes(), config["weights"])
    if size not in sizes:
        raise IncompatibleCheckpoint(
            f"{folder / 'model.safetensors'} has {size:,} bytes; the weights that config.json describes have "
            f"{sizes.start:,}. The two files come from different models; get both again from one source."
        )
    return config, architecture


def check_file(folder, name, manifest):
    """Raises CorruptCheckpoint unless a file of a checkpoint has the size and hash that its manifest says."""
    _verified_bytes(folder, name, manifest)


def read_tokenizer(folder, manifest):
    """The verified tokenizer of a checkpoint."""
    path = folder / "tokenizer.json"
    record = _parse(path, _verified_bytes(folder, path.name, manifest), tokenizers.schema)
    try:
        tokenizer = tokenizers.from_json(record)
    except (KeyError, ValueError) as error:
        raise UnsafeCheckpoint(path, f"{type(error).__name__}: {error}") from None
    if tokenizer.to_json() != record:
        raise UnsafeCheckpoint(path, f"it has entries that no tokenizer of kind {tokenizer.kind!r} has")
    return tokenizer


def _verified_bytes(folder, name, manifest):
    path, entry = folder / name, manifest["files"][name]
    if not path.is_file():
        raise CorruptCheckpoint(path, f"{entry['size']} bytes", "no such file")
    data = _read(path, entry["size"])
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise CorruptCheckpoint(path, f"sha256 {entry['sha256']}", digest)
    return data


def _read(path, expected=None):
    """The bytes of a file, if it has as many as expected and not too many."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if expected not in (None, size):
            raise CorruptCheckpoint(path, f"{expected} bytes", f"{size} bytes")
        if size > LARGEST[path.name]:
            raise UnsafeCheckpoint(path, f"it has {size:,} bytes, and at most {LARGEST[path.name]:,} make sense there")
        return file.read(size)


def _parse(path, data, schema):
    def schema_of_this_version(record):
        version = record.get("format_version")
        if type(version) is int and version > FORMAT_VERSION:
            raise IncompatibleCheckpoint(
                f"{path} has format version {version!s:.20}; this zoo reads up to {FORMAT_VERSION}. "
                "Upgrade recurrent-zoo."
            )
        return schema(record) if callable(schema) else schema

    try:
        return strict_json.parse(data, schema_of_this_version)
    except ValueError as error:
        raise UnsafeCheckpoint(path, error) from None


def _config_schema(record):
    model = MODELS.get(record.get("task")) if isinstance(record.get("task"), str) else None
    properties = {} if model is None else model.schema
    return {
        "type": "object",
        "required": ["format_version", "task", "weights", "model"],
        "additionalProperties": False,
        "properties": {
            "format_version": {"type": "integer", "const": FORMAT_VERSION},
            "task": {"enum": list(MODELS)},
            "weights": {"enum": list(stored_weights.DTYPES)},
            "model": {
                "type": "object",
                "required": list(properties),
                "additionalProperties": False,
                "properties": properties,
            },
        },
    }


DATASET = r"\A[\w./-]{1,120}\Z"
_FILE_SCHEMA = {
    "type": "object",
    "required": ["size", "sha256"],
    "additionalProperties": False,
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": max(LARGEST.values())},
        "sha256": {"type": "string", "pattern": r"\A[0-9a-f]{64}\Z"},
    },
}
_FIGURES_SCHEMA = {
    "type": "object",
    "maxProperties": 100,
    "propertyNames": {"pattern": r"\A[A-Za-z0-9_ .-]{1,60}\Z"},
    "additionalProperties": {"type": "number", "minimum": -1e300, "maximum": 1e300},
}
_METRIC_SCHEMA = {
    "type": "object",
    "required": ["data", "figures", "command"],
    "properties": {
        "data": strict_json.LINE,
        "figures": _FIGURES_SCHEMA,
        "before": {  # the weights were stored in a smaller type
            "type": "object",
            "required": ["weights", "figures"],
            "properties": {"weights": {"enum": list(stored_weights.DTYPES)}, "figures": _FIGURES_SCHEMA},
            "additionalProperties": False,
        },
        "command": strict_json.LINE,
        "dataset": {"type": "string", "pattern": DATASET},  # on the hub
    },
    "additionalProperties": False,
}
_ABOUT_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "license": {"type": "string", "pattern": r"\A[a-z0-9.-]{1,60}\Z"},
        "language": {"type": "array", "maxItems": 20, "items": {"type": "string", "pattern": r"\A[a-z-]{2,12}\Z"}},
        "datasets": {"type": "array", "maxItems": 20, "items": {"type": "string", "pattern": DATASET}},
        "terms": strict_json.TEXT,
        "limits": strict_json.TEXT,
    },
}
MANIFEST_SCHEMA = {
    "type": "object",
    "required": ["format_version", "files"],
    "additionalProperties": False,
    "properties": {
        "format_version": {"type": "integer", "const": FORMAT_VERSION},
        "files": {
            "type": "object",
            "required": list(FILES),
            "additionalProperties": False,
            "properties": dict.fromkeys(FILES, _FILE_SCHEMA),
        },
        "description": strict_json.TEXT,
        "about": _ABOUT_SCHEMA,  # for the card: licence, terms of the data, limits
        "base_model": strict_json.LINE,  # what it was fine-tuned from
        "training": {
            "type": "object",
            "properties": {"command": strict_json.LINE},
            "additionalProperties": strict_json.anything(depth=4),
            "propertyNames": strict_json.LINE,
        },
        "metrics": {"type": "array", "maxItems": 100, "items": _METRIC_SCHEMA},
    },
}
