"""What the tests of damaged, hostile and interrupted checkpoints share."""

import hashlib
import json
import os
import signal
import traceback
import warnings

import numpy as np

from zoo.checkpoint import FILES, verify
from zoo.errors import ZooError


def rehash(folder):
    """Makes the manifest fit the files, so that it is the parser behind the hash that is tested."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for name in FILES:
        data = (folder / name).read_bytes()
        manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(manifest))


def refusal(folder):
    """The error with which a checkpoint is refused, one that a user can read; None if it is not."""
    try:
        verify(folder)
    except ZooError as error:
        assert len(str(error)) < 1500 and str(error).isprintable()
        assert str(folder) in str(error)
        return error
    return None


def same(found, expected):
    """Whether two verified checkpoints are the same model, bit for bit."""
    return (
        json.dumps(found.config, sort_keys=True) == json.dumps(expected.config, sort_keys=True)
        and found.tokenizer == expected.tokenizer
        and found.weights.keys() == expected.weights.keys()
        and all(np.array_equal(found.weights[name], array) for name, array in expected.weights.items())
    )


def split(folder):
    """The header of the weights as an object, and the bytes after it."""
    data = (folder / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def join(folder, header, data):
    """Writes weights with this header, an object or bytes, and fits the manifest to them."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    rehash(folder)


def in_child(function):
    """Runs a function in a fork of this process, and gives its exit status: negative for a signal, 1 for an error."""
    with warnings.catch_warnings(action="ignore"):  # this process has threads; the child does without them
        child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
