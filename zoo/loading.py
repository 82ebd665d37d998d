"""From a name to a model: local folder, then the checkpoints that come with the package."""

import fnmatch
import os
from pathlib import Path

from zoo import checkpoint
from zoo.errors import UnknownModel
from zoo.presets import PRESETS

# Inside the installed package; in a clone of the repository, beside it.
BUNDLED = (Path(__file__).parent / "checkpoints", Path(__file__).parent.parent / "checkpoints")


def load(name):
    """Loads a model.

    Args:
        name: name of a shipped model, see `list_models`; or path of a folder that `zoo.save` or a recipe wrote. A
            folder goes before a name.

    Returns:
        A `keras.Model` with its tokenizer, such as a `zoo.models.LanguageModel`.

    Raises:
        UnknownModel: there is neither; the message lists close names.
        CorruptCheckpoint, UnsafeCheckpoint, IncompatibleCheckpoint: see `zoo.errors`.

    Example:

    >>> model = zoo.load("mlstm-shakespeare")
    >>> len(model.generate("ROMEO:", length=80, temperature=0.8, seed=1))
    80
    """
    folder, manifest_sha256 = find(name)
    return checkpoint.load(folder, manifest_sha256)


def find(name):
    """The folder of a model, and what its manifest must hash to if it is a shipped one."""
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"`name` must be a str or a path. Received: {name!r:.100}")
    if not os.fspath(name):
        raise ValueError("`name` is empty. Give the name of a model (`zoo list`) or a folder.")
    name = str(Path(name))
    try:
        folder = Path(name).expanduser()
        if checkpoint.resolve(folder).is_dir():
            return folder, None
    except (OSError, ValueError, RuntimeError):  # too long for a path, with a NUL, or below the home of nobody
        pass
    if name in PRESETS:
        for bundled in BUNDLED:
            if (bundled / name).is_dir():
                return bundled / name, PRESETS[name]["manifest_sha256"]
    raise UnknownModel(name, sorted(PRESETS))


def fingerprint(name):
    """Tells one model from another, whatever way its folder is named: a str."""
    folder, manifest_sha256 = find(name)
    manifest = checkpoint.read_manifest(checkpoint.resolve(folder), manifest_sha256)
    return f"{folder.resolve().name} {manifest['files']['model.safetensors']['sha256'][:16]}"


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


def info(name):
    """What is known about a model, without loading its weights.

    Args:
        name: as in `load`.

    Returns:
        Dict with `name`, `folder`, `task`, `model` (the architecture), `parameters`, `bytes` of the weights, and
        the `description`, `training` and `metrics` of its manifest where it has them.

    Example:

    >>> zoo.info("mlstm-shakespeare")["model"]["recurrent"]
    'mlstm'
    """
    folder, manifest_sha256 = find(name)
    return checkpoint.describe(checkpoint.resolve(folder), os.fspath(name), manifest_sha256)
