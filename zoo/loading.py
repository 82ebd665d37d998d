"""From a name to a model: a local folder, the checkpoints that come with the package, the cache, the hub."""

import fnmatch
import logging
import os
from pathlib import Path
from typing import NamedTuple

from zoo import checkpoint, hub
from zoo.errors import HubUnavailable, UnknownModel
from zoo.presets import PRESETS

LOG = logging.getLogger(__name__)
# Inside the installed package; in a clone of the repository, beside it.
BUNDLED = (Path(__file__).parent / "checkpoints", Path(__file__).parent.parent / "checkpoints")


def load(name, revision=None, *, local_files_only=False, cache_dir=None):
    """Loads a model.

    Args:
        name: name of a shipped model, see `list_models`; path of a folder that `zoo.save` or a recipe wrote; or a model
            on the hub, `"alice/shakespeare-mlstm"`, `"alice/shakespeare-mlstm@v1.0"` or `"hf://alice/..."`. A folder
            goes before a shipped name, and both before the hub.
        revision: branch, tag or commit on the hub, in place of `@`; None for `main`.
        local_files_only: whether to do without the network: what the hub has must be in the cache.
        cache_dir: folder for what comes from the hub; None for that of `huggingface_hub`.

    Returns:
        A `keras.Model` with its tokenizer, such as a `zoo.models.LanguageModel`.

    Raises:
        UnknownModel: there is none; the message lists close names.
        HubUnavailable: the hub does not answer, and the model is not in the cache.
        CorruptCheckpoint, UnsafeCheckpoint, IncompatibleCheckpoint: see `zoo.errors`.

    Example:

    >>> model = zoo.load("mlstm-shakespeare")
    >>> len(model.generate("ROMEO:", length=80, temperature=0.8, seed=1))
    80
    """
    return load_found(find(name, revision, local_files_only=local_files_only, cache_dir=cache_dir))


def load_found(found):
    """The model that `find` has found."""
    return checkpoint.load(found.folder, found.manifest_sha256)


class Found(NamedTuple):
    """Where a model is.

    Attributes:
        folder: path of a checkpoint or a training.
        manifest_sha256: what the manifest must hash to, if it is a shipped one.
        origin: how others can load it: the name of a shipped model, `"owner/name@<commit>"`, or None.
    """

    folder: Path
    manifest_sha256: str | None = None
    origin: str | None = None


def find(name, revision=None, *, local_files_only=False, cache_dir=None, files=checkpoint.FILES):
    """Where a model is, a `Found`; what the hub has is downloaded.

    Args:
        name, revision, local_files_only, cache_dir: as in `load`.
        files: those that are needed, if they have to be downloaded.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"`name` must be a str or a path. Received: {name!r:.100}")
    if not os.fspath(name):
        raise ValueError("`name` is empty. Give the name of a model (`zoo list`), a folder, or owner/name on the hub.")
    where = {"cache_dir": cache_dir, "local_files_only": local_files_only, "files": files}
    on_hub = hub.parse(name, revision) if isinstance(name, str) else None
    if revision is None and not str(name).startswith(hub.SCHEME):
        found = _local(str(Path(name)))
        if found is not None:
            return found
        if "hub" in PRESETS.get(str(name), {}):
            pin = PRESETS[str(name)]["hub"]
            folder = hub.fetch(hub.HubName(pin["repo"], pin["revision"]), pin["manifest_sha256"], **where)
            return Found(folder, pin["manifest_sha256"], str(name))
    if on_hub is None and revision is not None:
        raise ValueError(f"`revision` is for models on the hub, owner/name. Received: name={str(name)!r:.100}")
    if on_hub is None:
        raise UnknownModel(str(name), sorted(PRESETS))
    try:
        folder = hub.fetch(on_hub, **where)
    except HubUnavailable as error:
        raise HubUnavailable(f"{error} There is no folder {str(name)!r:.100} here, either.") from None
    except UnknownModel as error:
        raise UnknownModel(error.name, advice=f"{error.advice} There is no such folder here, either.") from None
    origin = f"{on_hub.repo}@{folder.name}"
    if not on_hub.is_pinned:
        LOG.info("%s is %s", on_hub, origin)
    return Found(folder, None, origin)


def _local(name):
    """As `find`, without the hub; or None."""
    try:
        folder = Path(name).expanduser()
        if checkpoint.resolve(folder).is_dir():
            return Found(folder)
    except (OSError, ValueError, RuntimeError):  # too long for a path, with a NUL, or below the home of nobody
        pass
    if name in PRESETS:
        for bundled in BUNDLED:
            if (bundled / name).is_dir():
                return Found(bundled / name, PRESETS[name]["manifest_sha256"], name)
    return None


def fingerprint(found):
    """Tells one model from another, whatever way its folder is named: a str, of what `find` gave."""
    manifest = checkpoint.read_manifest(checkpoint.resolve(found.folder), found.manifest_sha256)
    return f"{found.folder.resolve().name} {manifest['files']['model.safetensors']['sha256'][:16]}"


def list_models(pattern="*", task=None):
    """The names of the shipped models.

    Args:
        pattern: as in a shell, `"mlstm*"`.
        task: only models of this task, such as `"language-model"`.

    Returns:
        Sorted list of str.

    Example:

    >>> "mlstm-shakespeare" in zoo.list_models("mlstm*", task="language-model")
    True
    """
    names = fnmatch.filter(sorted(PRESETS), pattern)
    return [name for name in names if task is None or PRESETS[name]["task"] == task]


def info(name, revision=None, *, local_files_only=False, cache_dir=None):
    """What is known about a model, without loading its weights, nor downloading them.

    Args:
        name, revision, local_files_only, cache_dir: as in `load`.

    Returns:
        Dict with `name`, `folder`, `task`, `model` (the architecture), `parameters`, `bytes` of the weights, and
        the `description`, `training` and `metrics` of its manifest where it has them.

    Example:

    >>> zoo.info("mlstm-shakespeare")["model"]["recurrent"]
    'mlstm'
    """
    where = {"local_files_only": local_files_only, "cache_dir": cache_dir, "files": ("config.json",)}
    found = find(name, revision, **where)
    return checkpoint.describe(checkpoint.resolve(found.folder), os.fspath(name), found.manifest_sha256)
