"""Checkpoints made to do harm: refused with the named error before anything of them is used."""

import contextlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from faults import in_child, join, refusal, rehash, same, split

import zoo
from zoo.checkpoint import FILES, verify
from zoo.errors import CorruptCheckpoint, IncompatibleCheckpoint, UnknownModel, UnsafeCheckpoint, ZooError

ALL = (*FILES, "manifest.json")
DEEP = "[" * 5000 + "]" * 5000
RAW = {
    "@deep": DEEP,
    "@digits": "9" * 5000,
    "@infinite": "1e999",
    "@surrogate": '"\\ud800"',
    "@control": '"\\u001b[2J"',
}
VALUES = [
    *(None, True, False, -1, 0, 1.5, 3.0, 4.0, 1e308, 2**63, -(2**63), 2**64, 10**400, float("nan"), float("inf")),
    *("", "../../etc/passwd", "/etc/passwd", "\0", "é", "x" * 100_000, [], {}, [[]], {"x": {}}, ["a", 1], [2**62] * 3),
    *(f"{raw}" for raw in RAW),
]


def _objects(record):
    """Every list and object in a record."""
    if isinstance(record, dict | list):
        yield record
        for child in record.values() if isinstance(record, dict) else record:
            yield from _objects(child)


def _fuzzed(record, rng):
    """JSON text with one thing wrong, or at least other than it was."""
    record = json.loads(json.dumps(record))
    parent = rng.choice([x for x in _objects(record) if x])
    key = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
    deed = rng.choice(["value", "value", "value", "remove", "add", "repeat", "bytes", "whole"])
    if deed == "value":
        parent[key] = rng.choice(VALUES)
    elif deed == "remove":
        del parent[key]
    elif deed == "add" and isinstance(parent, dict):
        parent[rng.choice(["x", "", "__class__", "__metadata__", "../x", "units ", "y" * 100_000])] = rng.choice(VALUES)
    text = json.dumps(rng.choice(VALUES) if deed == "whole" else record)
    if deed == "repeat" and isinstance(parent, dict):
        text = text.replace(f"{json.dumps(key)}:", f"{json.dumps(key)}: 1, {json.dumps(key)}:", 1)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    data = text.encode()
    if deed == "bytes":
        place = rng.randrange(len(data))
        data = data[:place] + rng.choice([b"\xff", b"\0", b"\xed\xa0\x80", b"NaN", b"//", b"'", b","]) + data[place:]
    return data


def _harmless(folder, good):
    """Refused with a named error; or else a model that works, with the same weights."""
    if refusal(folder):
        return False
    expected = verify(good).weights
    for name, weight in zoo.load(folder).named_weights().items():
        np.testing.assert_array_equal(weight, expected[name])
    assert json.loads(json.dumps(zoo.info(folder), allow_nan=False))
    return True


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "manifest.json"])
def test_fuzzed_json(folder, good, name):
    record, accepted = json.loads((good / name).read_bytes()), 0
    for seed in range(130):
        (folder / "manifest.json").write_bytes((good / "manifest.json").read_bytes())
        (folder / name).write_bytes(_fuzzed(record, random.Random(seed)))
        if name != "manifest.json":
            rehash(folder)
        accepted += _harmless(folder, good)
    assert accepted < 50


def test_fuzzed_header(folder, good):
    header, data = split(good)
    for seed in range(130):
        join(folder, _fuzzed(header, random.Random(seed)), data)
        error = refusal(folder)
        assert error or split(folder)[0] == header


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "manifest.json", "header"])
def test_much_fuzzed(folder, good, name):
    record = split(good)[0] if name == "header" else json.loads((good / name).read_bytes())
    for seed in range(1000, 6000):
        (folder / "manifest.json").write_bytes((good / "manifest.json").read_bytes())
        data = _fuzzed(record, random.Random(seed))
        if name == "header":
            join(folder, data, split(good)[1])
        else:
            (folder / name).write_bytes(data)
            if name != "manifest.json":
                rehash(folder)
        _harmless(folder, good)


@pytest.mark.parametrize("name", ALL)
def test_50_megabytes(folder, name):
    with (folder / name).open("ab") as file:
        file.write(b" " * 50_000_000)
    if name != "manifest.json":
        rehash(folder)
    assert isinstance(refusal(folder), IncompatibleCheckpoint if name == "model.safetensors" else UnsafeCheckpoint)


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"tied": True}, "A tied softmax needs"),
        ({"weight_normalization": True}, "is for recurrent='mlstm'"),
        ({"units": 3.0}, "3.0 is not of type 'integer'"),
        ({"units": 65_537}, "65537 is greater than the maximum"),
        ({"dropout": 1}, "1 is greater than or equal to the maximum"),
        ({"recurrent": "exec"}, "'exec' is not one of"),
    ],
)
def test_a_configuration_out_of_bounds(folder, change, problem):
    path = folder / "config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps({**config, "model": {**config["model"], **change}}))
    rehash(folder)
    error = refusal(folder)
    assert isinstance(error, UnsafeCheckpoint) and problem in str(error)


@pytest.mark.parametrize("record, problem", [
    ({"kind": "bytes", "characters": "abc"}, "entries that no tokenizer of kind 'bytes' has"),
    ({"kind": "characters", "characters": "abc"}, "KeyError: 'unknown'"),
    ({"kind": "characters", "unknown": "error"}, "KeyError: 'characters'"),
    ({"kind": "characters", "characters": "abb", "unknown": "error"}, "distinct characters"),
    ({"kind": "characters", "characters": "abc", "unknown": "error"}, "it has 4 tokens, the model 11"),
    ({"kind": "bytes"}, "it has 256 tokens, the model 11"),
])  # fmt: skip
def test_a_tokenizer_that_does_not_fit(folder, record, problem):
    (folder / "tokenizer.json").write_text(json.dumps(record))
    rehash(folder)
    error = refusal(folder)
    assert isinstance(error, UnsafeCheckpoint) and problem in str(error)


@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
@pytest.mark.parametrize(
    "version, error",
    [(2, IncompatibleCheckpoint), (10**30, IncompatibleCheckpoint)]
    + [(wrong, UnsafeCheckpoint) for wrong in (0, -1, 1.0, True, "1", None, [1])],
)
def test_format_versions(folder, name, version, error):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format_version": version}))
    if name == "config.json":
        rehash(folder)
    assert type(refusal(folder)) is error


def _entry(header, index=0):
    return header[sorted(header, key=lambda name: header[name]["data_offsets"])[index]]


def _swap_offsets(header, data):
    first, last = _entry(header), _entry(header, -1)
    first["data_offsets"], last["data_offsets"] = last["data_offsets"], first["data_offsets"]
    return header, data


def _set(key, value, index=0):
    def attack(header, data):
        _entry(header, index)[key] = value
        return header, data

    return attack


def _values(value):
    return lambda header, data: (header, np.float32(value).tobytes() + data[4:])


def _padded(header, data):
    return b" " * 8 + json.dumps(header).encode(), data


def _hole(header, data):
    for entry in header.values():
        entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
    return header, bytes(8) + data


def _hole_at_the_end(header, data):
    size = _entry(header, -1)["data_offsets"][1]
    return _set("data_offsets", [size, size + size], -1)(header, data + data)


def _missing(header, data):
    del header[next(iter(header))]
    return header, data


def _extra(header, data):
    return {**header, "x": {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}}, data + bytes(4)


def _renamed(header, data):
    return {name.replace("output", "0utput"): entry for name, entry in header.items()}, data


def _repeated(header, data):
    text = json.dumps(header)
    return (text[:-1] + ", " + text[1:]).encode(), data


def _half(header, data):
    for entry in header.values():
        entry["dtype"] = "F16"
        entry["data_offsets"] = [offset // 2 for offset in entry["data_offsets"]]
    return header, data


def _zipped(header, data):
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("x", "polyglot")
    return header, file.getvalue()


ATTACKS = {
    "overlap": (_set("data_offsets", [0, 72], -1), UnsafeCheckpoint),
    "offsets swapped": (_swap_offsets, UnsafeCheckpoint),
    "one weight's offsets reversed": (_set("data_offsets", [72, 0]), UnsafeCheckpoint),
    "negative offset": (_set("data_offsets", [-8, 64]), UnsafeCheckpoint),
    "offset beyond 64 bits": (_set("data_offsets", [0, 2**64 + 72]), UnsafeCheckpoint),
    "offset a float": (_set("data_offsets", [0.0, 72.0]), UnsafeCheckpoint),
    "three offsets": (_set("data_offsets", [0, 36, 72]), UnsafeCheckpoint),
    "hole before": (_hole, UnsafeCheckpoint),
    "hole at the end": (_hole_at_the_end, UnsafeCheckpoint),
    "trailing bytes": (lambda header, data: (header, data + b"\0"), UnsafeCheckpoint),
    "zip polyglot": (_zipped, UnsafeCheckpoint),
    "data cut": (lambda header, data: (b" " * 8 + json.dumps(header).encode(), data[:-4]), UnsafeCheckpoint),
    "type int32": (_set("dtype", "I32"), UnsafeCheckpoint),
    "type half for all": (_half, UnsafeCheckpoint),
    "type an object": (_set("dtype", {}), UnsafeCheckpoint),
    "huge shape": (_set("shape", [2**62, 2**62]), IncompatibleCheckpoint),
    "shape flattened": (_set("shape", [18]), IncompatibleCheckpoint),
    "shape of floats": (_set("shape", [9.0, 2.0]), UnsafeCheckpoint),
    "shape of nine": (_set("shape", [1] * 9), UnsafeCheckpoint),
    "negative shape": (_set("shape", [-9, -2]), UnsafeCheckpoint),
    "missing": (_missing, IncompatibleCheckpoint),
    "extra": (_extra, IncompatibleCheckpoint),
    "renamed": (_renamed, IncompatibleCheckpoint),
    "keys twice": (_repeated, UnsafeCheckpoint),
    "metadata": (lambda header, data: ({**header, "__metadata__": {"format": "pt"}}, data), UnsafeCheckpoint),
    "NaN": (_values(np.nan), UnsafeCheckpoint),
    "infinity": (_values(np.inf), UnsafeCheckpoint),
    "minus infinity": (_values(-np.inf), UnsafeCheckpoint),
    "header a list": (lambda header, data: (b"[]", data), UnsafeCheckpoint),
    "header deep": (lambda header, data: (DEEP.encode(), data), UnsafeCheckpoint),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_on_safetensors(folder, attack):
    spoil, error = ATTACKS[attack]
    join(folder, *spoil(*split(folder)))
    assert type(refusal(folder)) is error


@pytest.mark.parametrize("size", [0, 1, 2**20 + 1, 99_000_000, 2**63, 2**64 - 1])
def test_lengths_of_the_header(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + path.read_bytes()[8:])
    rehash(folder)
    error = refusal(folder)
    assert isinstance(error, UnsafeCheckpoint) and (size < 2 or f"header would have {size:,} bytes" in str(error))


class _Bomb:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def _archive(kind, canary):
    file, inside = io.BytesIO(), os.path.relpath(canary, canary.parent / "model" / "x")
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(inside, "x")
    else:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(inside))
    return file.getvalue()


def _keras(suffix, canary, folder):
    import keras

    touch = keras.layers.Lambda(lambda x, path=str(canary): (__import__("pathlib").Path(path).touch(), x)[1])
    model = keras.Sequential([keras.Input((1,)), touch])
    canary.unlink(missing_ok=True)  # the model called it once
    path = folder.parent / f"model{suffix}"
    model.save(path)
    data = path.read_bytes()
    path.unlink()
    return data


def _malicious(kind, canary, folder):
    if kind == "pickle":
        return pickle.dumps(_Bomb(canary))
    if kind in ("zip", "tar"):
        return _archive(kind, canary)
    return _keras(kind, canary, folder)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("kind", ["pickle", "zip", "tar", ".keras", ".h5"])
def test_malicious_files(folder, good, tmp_path, kind):
    canary = tmp_path / "canary"
    payload = _malicious(kind, canary, folder)
    for name in ("model.keras", "model.h5", "model.pkl", "__init__.py", "tf_model.h5", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(payload)
        for function in (zoo.load, zoo.info):
            with pytest.raises(UnknownModel):
                function(tmp_path / name)
        (folder / name).write_bytes(payload)  # beside a checkpoint: not looked at
    assert zoo.load(folder).config == zoo.load(good).config
    for name in FILES:
        (folder / name).write_bytes(payload)
        assert isinstance(refusal(folder), CorruptCheckpoint | IncompatibleCheckpoint)
        rehash(folder)
        assert refusal(folder) or name == "README.md"
        shutil.copy(good / name, folder / name)
    (folder / "manifest.json").write_bytes(payload)
    assert isinstance(refusal(folder), UnsafeCheckpoint)
    assert not canary.exists()
    if kind == "pickle":
        pickle.loads(payload)
        assert canary.exists()  # the bomb is a live one


@pytest.mark.parametrize("name", ALL)
def test_links(folder, good, tmp_path, name):
    """A link is followed, as in the cache of a hub; what it leads to must be the file."""
    path, secret = folder / name, tmp_path / "secret"
    secret.write_text("password")
    path.unlink()
    path.symlink_to(good / name)
    assert same(verify(folder), verify(good))
    for target in (secret, Path("/dev/zero"), tmp_path, tmp_path / "nothing", path):
        path.unlink()
        path.symlink_to(target)
        error = refusal(folder)
        assert isinstance(error, CorruptCheckpoint | UnsafeCheckpoint) and "password" not in str(error)


def test_a_pipe(folder):
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    assert in_child(lambda: isinstance(refusal(folder), CorruptCheckpoint) or os._exit(1)) == 0


def _terabytes(folder):
    path = folder / "config.json"
    config = json.loads(path.read_bytes())
    config["model"].update(units=65_536, layers=64, embedding_size=65_536)
    path.write_text(json.dumps(config))
    rehash(folder)


def _grown(folder, name, size):
    os.truncate(folder / name, size)  # sparse
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"][name]["size"] = size
    path.write_text(json.dumps(manifest))


def _grown_terabytes(folder):
    _terabytes(folder)
    _grown(folder, "model.safetensors", 2**40)


def _nested_lists(folder):
    (folder / "tokenizer.json").write_text(json.dumps({"kind": [[]] * (2**21 - 8)}, separators=(",", ":")))
    rehash(folder)


BOMBS = {
    "a configuration of terabytes": _terabytes,
    "and a file of as many": _grown_terabytes,
    "weights of 4 GB": lambda folder: _grown(folder, "model.safetensors", 2**32),
    "a tokenizer of 4 GB": lambda folder: _grown(folder, "tokenizer.json", 2**32),
    "a manifest of 4 GB": lambda folder: os.truncate(folder / "manifest.json", 2**32),
    "a vocabulary of lists": _nested_lists,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_bombs(folder, bomb):
    BOMBS[bomb](folder)

    def load():
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 400 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        with pytest.raises(ZooError):
            zoo.load(folder)
        with contextlib.suppress(ZooError):
            zoo.info(folder)

    assert in_child(load) == 0


def test_errors_survive_a_pool():
    for error in (UnknownModel("x", ["y"]), CorruptCheckpoint("f", "1", "2"), UnsafeCheckpoint("f", "odd")):
        copy = pickle.loads(pickle.dumps(error))
        assert str(copy) == str(error) and vars(copy) == vars(error)
