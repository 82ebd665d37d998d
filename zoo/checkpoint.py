"""Saving, loading and verifying checkpoints: a folder of JSON, safetensors and hashes, in which nothing is code.

    config.json        the model: task, architecture, the type its weights are stored in
    tokenizer.json     its vocabulary
    model.safetensors  its weights
    README.md          its card, generated
    manifest.json      where it comes from, what it scores, and the size and sha256 of the other files

Loading verifies before it parses and parses before it allocates: size and hash of every file; the JSON against fixed
schemas with bounds; the names, types, shapes and offsets in the safetensors header against those that the
configuration implies; and last that every weight is finite.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from zoo import tokenizers
from zoo.atomic_files import atomic_write, sync_folder
from zoo.cards import card
from zoo.errors import CorruptCheckpoint, IncompatibleCheckpoint, UnsafeCheckpoint
from zoo.models.language_model import LanguageModel

FORMAT_VERSION = 1
MODELS = {model.task: model for model in (LanguageModel,)}
FILES = ("config.json", "tokenizer.json", "model.safetensors", "README.md")
DTYPES = {"float32": ("F32", 4), "float16": ("F16", 2)}
LARGEST_JSON = 16 * 2**20  # bytes; a vocabulary of a million entries fits
LARGEST_HEADER = 2**20  # bytes of a safetensors header
BEST = "best"  # the checkpoint inside the folder of a training


def save(model, folder, manifest=None, dtype="float32"):
    """Writes a model to a folder that `zoo.load` opens.

    The folder appears whole or not at all; a checkpoint that is there already is replaced.

    Args:
        model: a model of the zoo.
        folder: path. It must not exist, be empty, or be a checkpoint.
        manifest: dict of what is known about the model, kept in `manifest.json` and shown in the card.
        dtype: type of the stored weights, `"float32"` or `"float16"`.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: a weight is not finite, or too large for float16.
        OSError: the folder cannot be written.

    Example:

    >>> model = zoo.models.LanguageModel(
    ...     zoo.models.LanguageModelConfig(256, units=4), zoo.tokenizers.ByteTokenizer())
    >>> folder = tmp_path / "my-model"
    >>> zoo.save(model, folder)
    >>> zoo.load(folder).config == model.config
    True
    """
    from safetensors.numpy import save as serialize

    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {list(DTYPES)}. Received: dtype={dtype!r}")
    if type(model) not in MODELS.values():
        raise TypeError(f"`model` must be a model of the zoo. Received: {type(model).__name__}")
    with np.errstate(over="ignore"):
        arrays = {name: _array(weight).astype(dtype) for name, weight in model.named_weights().items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"The weight {name!r} is not finite as {dtype}. Nothing was saved.")
    config = {"format_version": FORMAT_VERSION, "task": model.task, "weights": dtype, "model": asdict(model.config)}
    contents = {
        "config.json": _to_json(config),
        "tokenizer.json": _to_json(model.tokenizer.to_json()),
        "model.safetensors": serialize(arrays),
    }
    _write(Path(folder), contents, config, dict(manifest or {}))


def update_manifest(folder, **entries):
    """Adds entries to the manifest of a checkpoint, and generates its card again."""
    copy(folder, folder, **entries)


def copy(source, folder, **entries):
    """Copies a checkpoint, with further entries in its manifest and the new folder's name on its card."""
    manifest, contents = verify(source)
    config = json.loads(contents["config.json"])
    contents = {name: contents[name] for name in FILES if name != "README.md"}
    _write(Path(folder), contents, config, {**manifest, **entries})


def load(folder, manifest_sha256=None):
    """The model of a checkpoint folder, or of the folder of a training; see `zoo.load`.

    Args:
        folder: path.
        manifest_sha256: what the manifest must hash to, where that is known.

    Raises:
        CorruptCheckpoint, UnsafeCheckpoint, IncompatibleCheckpoint: see `zoo.errors`.
    """
    from safetensors.numpy import load as parse

    folder = resolve(folder)
    _, contents = verify(folder, manifest_sha256)
    config = json.loads(contents["config.json"])
    model_class = MODELS[config["task"]]
    arrays = parse(contents["model.safetensors"])
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UnsafeCheckpoint(f"{folder}: the weight {name!r} is not finite. Do not use this checkpoint.")
    model = model_class(
        model_class.config_class(**config["model"]), tokenizers.from_json(json.loads(contents["tokenizer.json"]))
    )
    for name, weight in model.named_weights().items():
        weight.assign(arrays[name].astype(weight.dtype))
    return model


def resolve(folder):
    """The checkpoint of a path: the folder itself, or the best one of a training that was written there."""
    folder = Path(folder)
    if not (folder / "manifest.json").exists() and _recovered(folder / BEST).is_dir():
        return folder / BEST
    return _recovered(folder)


def describe(folder, name=None):
    """What `zoo.info` gives: the verified configuration and manifest of a checkpoint."""
    folder = Path(folder)
    manifest, _ = _read_manifest(folder)
    data = _read_verified(folder, "config.json", manifest["files"]["config.json"], LARGEST_JSON)
    config = _parse(data, folder / "config.json", _config_schema)
    shapes = MODELS[config["task"]].config_class(**_checked_model(config, folder)).weight_shapes()
    return {
        "name": name or folder.name,
        "folder": str(folder),
        "task": config["task"],
        "model": config["model"],
        "parameters": sum(math.prod(shape) for shape in shapes.values()),
        "bytes": manifest["files"]["model.safetensors"]["size"],
        **{key: manifest[key] for key in ("description", "training", "metrics") if key in manifest},
    }


def verify(folder, manifest_sha256=None):
    """Checks all of a checkpoint but the values of its weights.

    Returns:
        The manifest, and the verified bytes of each file by name.
    """
    folder = Path(folder)
    manifest, data = _read_manifest(folder)
    if manifest_sha256 is not None and hashlib.sha256(data).hexdigest() != manifest_sha256:
        raise CorruptCheckpoint(folder / "manifest.json", f"sha256 {manifest_sha256}", hashlib.sha256(data).hexdigest())
    contents = {}
    for name in ("config.json", "tokenizer.json", "README.md"):
        contents[name] = _read_verified(folder, name, manifest["files"][name], LARGEST_JSON)
    config = _parse(contents["config.json"], folder / "config.json", _config_schema)
    tokenizer = _parse(contents["tokenizer.json"], folder / "tokenizer.json", lambda _: tokenizers.SCHEMA)
    model = MODELS[config["task"]].config_class(**_checked_model(config, folder))
    size = tokenizers.from_json(_checked_tokenizer(tokenizer, folder)).vocabulary_size
    if size != model.vocabulary_size:
        raise UnsafeCheckpoint(
            f"{folder}: the tokenizer has {size} tokens, the model {model.vocabulary_size}. Do not use this checkpoint."
        )
    shapes = model.weight_shapes()
    code, item = DTYPES[config["weights"]]
    data_size = sum(math.prod(shape) for shape in shapes.values()) * item
    weights = _read_verified(
        folder, "model.safetensors", manifest["files"]["model.safetensors"], data_size + LARGEST_HEADER + 8
    )
    _check_header(weights, shapes, code, item, data_size, folder / "model.safetensors")
    contents["model.safetensors"] = weights
    return manifest, contents


def _read_manifest(folder):
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    if not path.is_file():
        raise CorruptCheckpoint(path, "a checkpoint's manifest.json", "no such file", "Is this folder a checkpoint?")
    data = _read(path, LARGEST_JSON)
    manifest = _parse(data, path, lambda _: MANIFEST_SCHEMA)
    return manifest, data


def _read(path, largest):
    size = path.stat().st_size
    if size > largest:
        raise UnsafeCheckpoint(f"{path} has {size:,} bytes; at most {largest:,} make sense there. It was not read.")
    return path.read_bytes()


def _read_verified(folder, name, entry, largest):
    path = folder / name
    if not path.is_file():
        raise CorruptCheckpoint(path, f"{entry['size']} bytes", "no such file")
    size = path.stat().st_size
    if size != entry["size"]:
        raise CorruptCheckpoint(path, f"{entry['size']} bytes", f"{size} bytes")
    data = _read(path, largest)
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise CorruptCheckpoint(path, f"sha256 {entry['sha256']}", digest)
    return data


def _parse(data, path, schema_of):
    """JSON that is UTF-8, has no key twice, no NaN, no great depth, and fits its schema."""
    from jsonschema import Draft202012Validator

    try:
        record = json.loads(data.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_refuse)
        if not isinstance(record, dict):
            raise ValueError("it is not an object")
        version = record.get("format_version", FORMAT_VERSION)
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise IncompatibleCheckpoint(
                f"{path} has format version {version}; this zoo reads up to {FORMAT_VERSION}. Upgrade recurrent-zoo."
            )
        error = next(Draft202012Validator(schema_of(record)).iter_errors(record), None)
        if error is not None:
            raise ValueError(f"{'/'.join(map(str, error.absolute_path)) or 'it'}: {error.message:.200}")
    except (ValueError, RecursionError, OverflowError) as error:
        raise UnsafeCheckpoint(f"{path} is not what the zoo writes: {error}. Nothing of it was used.") from None
    return record


def _without_repetition(pairs):
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key is there twice")
    return record


def _refuse(constant):
    raise ValueError(f"{constant} is not a number")


def _config_schema(record):
    model = MODELS.get(record.get("task")) if isinstance(record.get("task"), str) else None
    properties = {} if model is None else model.schema
    return {
        "type": "object",
        "required": ["format_version", "task", "weights", "model"],
        "additionalProperties": False,
        "properties": {
            "format_version": {"const": FORMAT_VERSION},
            "task": {"enum": list(MODELS)},
            "weights": {"enum": list(DTYPES)},
            "model": {
                "type": "object",
                "required": list(properties),
                "additionalProperties": False,
                "properties": properties,
            },
        },
    }


def _checked_model(config, folder):
    try:
        MODELS[config["task"]].config_class(**config["model"])
    except (ValueError, OverflowError) as error:
        raise UnsafeCheckpoint(f"{folder / 'config.json'}: {error}. Nothing of it was used.") from None
    return config["model"]


def _checked_tokenizer(record, folder):
    try:
        tokenizers.from_json(record)
    except (ValueError, KeyError) as error:
        raise UnsafeCheckpoint(f"{folder / 'tokenizer.json'}: {error}. Nothing of it was used.") from None
    return record


def _check_header(data, shapes, code, item, data_size, path):
    """The header must list exactly the weights of the configuration, one after another, without gap or rest."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > LARGEST_HEADER or 8 + size > len(data):
        raise UnsafeCheckpoint(f"{path} has no sound safetensors header. Nothing of it was used.")
    header = _parse(data[8 : 8 + size], path, lambda _: HEADER_SCHEMA)
    header.pop("__metadata__", None)
    found = {name: tuple(entry["shape"]) for name, entry in header.items()}
    if found != shapes:
        different = sorted(name for name in {**found, **shapes} if found.get(name) != shapes.get(name))
        first = ", ".join(f"{n}: expected {shapes.get(n)}, got {found.get(n)}" for n in different[:3])
        raise IncompatibleCheckpoint(
            f"{path} does not fit its config.json: {len(different)} weights differ ({first}). "
            "The two files come from different models."
        )
    end = 0
    for name, entry in sorted(header.items(), key=lambda entry: entry[1]["data_offsets"]):
        begin, end_before = entry["data_offsets"][0], end
        end = entry["data_offsets"][1]
        if entry["dtype"] != code or begin != end_before or end - begin != math.prod(shapes[name]) * item:
            raise UnsafeCheckpoint(f"{path}: the entry of {name!r} is not sound. Nothing of it was used.")
    if end != data_size or 8 + size + data_size != len(data):
        raise UnsafeCheckpoint(f"{path} holds more, or less, than its weights. Nothing of it was used.")


def _write(folder, contents, config, manifest):
    """Writes a checkpoint beside its place, then puts it there."""
    _recovered(folder)
    if folder.exists() and not (folder.is_dir() and _replaceable(folder)):
        raise FileExistsError(f"{folder} exists and is not a checkpoint. Choose another folder, or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    manifest = {"format_version": FORMAT_VERSION, **manifest}
    manifest.pop("files", None)
    contents["README.md"] = card(folder.name, config, manifest, len(contents["model.safetensors"])).encode()
    manifest["files"] = {
        name: {"size": len(contents[name]), "sha256": hashlib.sha256(contents[name]).hexdigest()} for name in FILES
    }
    temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=folder.parent))
    try:
        temporary.chmod(folder.stat().st_mode if folder.exists() else 0o755)
        for name in FILES:
            atomic_write(temporary / name, contents[name])
        data = _to_json(manifest)
        atomic_write(temporary / "manifest.json", data)
        verify(temporary)
        if folder.exists():
            os.rename(folder, _previous(folder))
        os.rename(temporary, folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        _recovered(folder)
        raise
    shutil.rmtree(_previous(folder), ignore_errors=True)


def _replaceable(folder):
    """Whether a folder has nothing in it but a checkpoint."""
    names = {path.name for path in folder.iterdir()}
    return not names or ("manifest.json" in names and names <= {*FILES, "manifest.json"})


def _previous(folder):
    digest = hashlib.sha256(folder.name.encode()).hexdigest()[:16]
    return folder.with_name(f".{digest}.previous")


def _recovered(folder):
    """The folder; put back first if a save died between taking the old checkpoint away and placing the new one."""
    previous = _previous(folder) if folder.name else folder
    if not folder.exists() and previous.exists():
        with contextlib.suppress(OSError):
            os.rename(previous, folder)
    return folder


def _array(weight):
    from keras import ops

    return np.ascontiguousarray(ops.convert_to_numpy(weight))


def _to_json(record):
    return (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


_FILE_SCHEMA = {
    "type": "object",
    "required": ["size", "sha256"],
    "additionalProperties": False,
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 2**40},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}
MANIFEST_SCHEMA = {
    "type": "object",
    "required": ["format_version", "files"],
    "additionalProperties": False,
    "properties": {
        "format_version": {"const": FORMAT_VERSION},
        "files": {
            "type": "object",
            "required": list(FILES),
            "additionalProperties": False,
            "properties": dict.fromkeys(FILES, _FILE_SCHEMA),
        },
        "description": {"type": "string", "maxLength": 10_000},
        "training": {"type": "object", "maxProperties": 100},
        "metrics": {"type": "array", "maxItems": 100, "items": {"type": "object", "maxProperties": 100}},
    },
}
HEADER_SCHEMA = {
    "type": "object",
    "maxProperties": 10_000,
    "properties": {"__metadata__": {"type": "object", "additionalProperties": {"type": "string"}}},
    "additionalProperties": {
        "type": "object",
        "required": ["dtype", "shape", "data_offsets"],
        "additionalProperties": False,
        "properties": {
            "dtype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 8},
            "data_offsets": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 2,
                "maxItems": 2,
            },
        },
    },
}
