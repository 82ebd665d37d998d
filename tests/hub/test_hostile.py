"""What a stranger has put on the hub: refused by everything that takes a model, before anything of it is used."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest

import zoo
from zoo import audit
from zoo.converters import keras_lstm
from zoo.errors import ZooError
from zoo.verification import FILES

REPO = "mallory/model"


class Bomb:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def hostile(saved, canary):
    """Models with something wrong, by what it is: a dict of files each."""
    good = {path.name: path.read_bytes() for path in saved.iterdir()}
    payload = pickle.dumps(Bomb(canary))
    found = {f"pickle as {name}": {**good, name: payload} for name in (*FILES, "manifest.json")}

    def config(**fields):
        record = json.loads(good["config.json"])
        record["model"] |= fields
        return sealed({**good, "config.json": json.dumps(record).encode()})

    def sealed(files):
        manifest = json.loads(good["manifest.json"])
        for name in FILES:
            manifest["files"][name] = {"size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
        return {**files, "manifest.json": json.dumps(manifest).encode()}

    found |= {f"honest pickle as {name}": sealed({**good, name: payload}) for name in FILES[:3]}
    found["terabytes"] = config(units=65_536, layers=64)
    found["code in the configuration"] = config(recurrent={"class_name": "Lambda", "module": "os"})
    found["a path for a vocabulary"] = sealed({**good, "tokenizer.json": b'{"kind": "bytes", "file": "/etc/passwd"}'})
    found["another repository's layout"] = {
        "config.json": b'{"auto_map": {"AutoModel": "model.X"}}',
        "model.py": payload,
    }
    return found


KINDS = [
    *(f"pickle as {name}" for name in (*FILES, "manifest.json")),
    *(f"honest pickle as {name}" for name in FILES[:3]),
    "terabytes",
    "code in the configuration",
    "a path for a vocabulary",
    "another repository's layout",
]


def all_holds(name):
    for finding in audit.audit(name):
        if finding.holds is False:
            raise ZooError(finding.detail)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_it_is_used(hub, saved, tmp_path, kind):
    canary = tmp_path / "canary"
    hub.create(REPO)
    hub.commit(REPO, hostile(saved, canary)[kind])
    data = (["a", "b"] * 4, ["x", "y"] * 4)
    for use in (
        zoo.load,
        lambda name: zoo.finetune(name, data, output=tmp_path / "tuned"),
        all_holds,
    ):
        with pytest.raises(ZooError) as caught:
            use(REPO)
        assert str(caught.value).isprintable()
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, content in hub.files(REPO).items():
        if not name.startswith("."):
            (folder / name).write_bytes(content)
    requests = len(hub.requests)
    with pytest.raises((ZooError, FileNotFoundError)):
        zoo.publish(folder, "alice/mine")
    assert len(hub.requests) == requests and not canary.exists()
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_pickle_to_convert(saved, tmp_path, suffix):
    canary = tmp_path / "canary"
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises((ZooError, ValueError)):
        keras_lstm(path)
    assert not canary.exists()


def test_weights_are_not_fetched_that_the_configuration_does_not_want(hub, saved, tmp_path):
    hub.create(REPO)
    hub.commit(REPO, hostile(saved, tmp_path / "canary")["terabytes"])
    with pytest.raises(ZooError):
        zoo.load(REPO)
    assert not any("safetensors" in line for _, line, _ in hub.requests)
