"""Saving and loading: what comes back, what is refused, where it can lie; and the golden checkpoints."""

import importlib.util
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from zoo import checkpoint
from zoo.checkpoint import copy, update_manifest, verify
from zoo.models import LanguageModel, LanguageModelConfig
from zoo.tokenizers import ByteTokenizer, CharacterTokenizer

GOLDEN = Path(__file__).parent / "golden"
METRIC = {"data": "a text", "figures": {"nats_per_character": 1.5}, "command": "zoo evaluate x"}


def _model(tokenizer=None, **options):
    tokenizer = tokenizer or CharacterTokenizer.of("hello wide world\n")
    options = {"units": 3, "embedding_size": 2, **options}
    return LanguageModel(LanguageModelConfig(tokenizer.vocabulary_size, **options), tokenizer)


@pytest.fixture(scope="module")
def model():
    return _model()


@pytest.fixture
def folder(model, tmp_path):
    zoo.save(model, tmp_path / "model", {"description": "A small model."})
    return tmp_path / "model"


def _weights(model):
    return {name: np.asarray(keras.ops.convert_to_numpy(weight)) for name, weight in model.named_weights().items()}


def _assert_same(found, expected, dtype="float32"):
    found, expected = _weights(found), _weights(expected)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array.astype(dtype).astype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "options",
    [
        *({"recurrent": kind} for kind in ("rnn", "lstm", "gru", "peephole", "mlstm")),
        {"recurrent": "mlstm", "weight_normalization": True, "layers": 2, "dropout": 0.5, "forget_bias": 5},
        {"tied": True, "embedding_size": 3},
    ],
)
def test_a_model_comes_back(tmp_path, options, dtype):
    model = _model(**options)
    zoo.save(model, tmp_path / "model", dtype=dtype)
    found = zoo.load(tmp_path / "model")
    assert found.config == model.config and found.tokenizer == model.tokenizer
    _assert_same(found, model, dtype)


@pytest.mark.parametrize(
    "tokenizer", [ByteTokenizer(), CharacterTokenizer('\0\x1b"\\é\u2028😀', "error"), CharacterTokenizer.of("a\ud800b")]
)
def test_a_tokenizer_comes_back(tmp_path, tokenizer):
    zoo.save(_model(tokenizer), tmp_path / "model")
    assert zoo.load(tmp_path / "model").tokenizer == tokenizer


def test_the_largest_vocabulary(tmp_path):
    characters = "".join(map(chr, [*range(0xD800), *range(0xE000, 0xFFFD), *range(0x10000, 0x110000)]))[:999_999]
    zoo.save(_model(CharacterTokenizer(characters), units=1, embedding_size=1), tmp_path / "model", dtype="float16")
    assert verify(tmp_path / "model").tokenizer.characters == characters


@pytest.mark.parametrize("name", ["version-1"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_golden(name, backend):
    pytest.importorskip(backend)
    code = f"""
import sys; sys.path[:0] = {[str(GOLDEN.parent.parent), str(GOLDEN)]!r}
import json, make, zoo
print(json.dumps(make.logits(zoo.load({str(GOLDEN / name)!r})).tolist()))
"""
    if backend == keras.backend.backend():
        spec = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
        make = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(make)
        found = make.logits(zoo.load(GOLDEN / name))
    else:
        environment = {**os.environ, "KERAS_BACKEND": backend}
        found = json.loads(subprocess.check_output([sys.executable, "-c", code], env=environment))
    np.testing.assert_allclose(found, json.loads((GOLDEN / f"{name}.json").read_text()), atol=1e-5)


def test_a_golden_checkpoint_for_each_version():
    assert {path.name for path in GOLDEN.glob("version-*/")} >= {
        f"version-{version}" for version in range(1, checkpoint.FORMAT_VERSION + 1)
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 70_000.0])
def test_weights_that_cannot_be_saved(tmp_path, value):
    model = _model()
    kernel = model.output_layer.kernel
    kernel.assign(np.full(kernel.shape, value))
    with pytest.raises(ValueError, match="'output/kernel' is not finite as float16. Nothing was saved"):
        zoo.save(model, tmp_path / "model", dtype="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stranger", [None, 3, "model", keras.Sequential, keras.Model])
def test_a_foreign_model(tmp_path, stranger):
    with pytest.raises(TypeError, match="`model` must be a model of the zoo"):
        zoo.save(stranger() if isinstance(stranger, type) else stranger, tmp_path / "model")


@pytest.mark.parametrize("dtype", ["float64", "int4", None, 16])
def test_a_foreign_dtype(model, tmp_path, dtype):
    with pytest.raises(ValueError, match="`dtype` must be one of"):
        zoo.save(model, tmp_path / "model", dtype=dtype)


@pytest.mark.parametrize(
    "manifest",
    [
        {"x": 1},
        {"format_version": 2},
        {"description": 3},
        {"description": "\x1b[2J"},
        {"description": "\ud800"},
        {"description": "x" * 10_001},
        {"training": {"loss": float("nan")}},
        {"training": {"loss": np.float32(1)}},
        {"training": {"x": [[[[[[]]]]]]}},
        {"training": {"command": None}},
        {"metrics": [{}]},
        {"metrics": [{**METRIC, "figures": {"loss": "low"}}]},
    ],
)
def test_a_manifest_that_cannot_be_saved(model, tmp_path, manifest):
    with pytest.raises(ValueError, match="`manifest` cannot be stored: .* Nothing was saved") as caught:
        zoo.save(model, tmp_path / "model", manifest)
    assert len(str(caught.value)) < 400
    assert not list(tmp_path.iterdir())


def _something_else(path):
    path.mkdir()
    (path / "thesis.tex").write_text("x")


def _more_than_a_checkpoint(path):
    copy(GOLDEN / "version-1", path)
    (path / "thesis.tex").write_text("x")


def _no_manifest(path):
    path.mkdir()
    (path / "config.json").write_text("{}")


@pytest.mark.parametrize(
    "occupy", [_something_else, _more_than_a_checkpoint, _no_manifest, lambda path: path.write_text("x")]
)
def test_a_place_that_is_taken(model, tmp_path, occupy):
    occupy(tmp_path / "model")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(FileExistsError, match="model exists and is not a checkpoint. Choose another folder"):
        zoo.save(model, tmp_path / "model")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("place", ["file/model", "file/in/model", "x" * 256, "/proc/model", "nul\0", "~nobody-here/x"])
def test_a_place_where_nothing_can_be(model, tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    with pytest.raises((OSError, ValueError), match="file|File name too long|/proc|`folder` is not a path"):
        zoo.save(model, place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "name", ["🦓 ☃", "x" * 255, "é" * 127, "a\nb", "*?[", "-x", os.fsdecode(b"\xff"), "new/and/below", "a.b/", "~x"]
)
def test_odd_names_of_folders(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    for _ in range(2):
        copy(GOLDEN / "version-1", folder)
        assert zoo.info(folder)["name"] == str(folder)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_working_folder_and_home(model, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    zoo.save(model, "")
    zoo.save(model, "~/there")
    assert zoo.load(tmp_path / "here").config == zoo.load("~/there").config == model.config


def test_a_link_to_a_checkpoint(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    for _ in range(2):
        copy(GOLDEN / "version-1", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert verify(folder).config["model"]["recurrent"] == "mlstm"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        copy(GOLDEN / "version-1", tmp_path / "model")
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()}
        assert modes == {0o666 & ~mask}
        assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o777 & ~mask
        (tmp_path / "model").chmod(0o710)
        copy(GOLDEN / "version-1", tmp_path / "model")
        assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o710
    finally:
        os.umask(before)


def test_update_manifest(folder, model):
    before = verify(folder)
    update_manifest(folder, metrics=[METRIC], training={"command": "python train.py"})
    after = verify(folder)
    assert all(before.contents[name] == after.contents[name] for name in before.contents if name != "README.md")
    assert after.manifest["description"] == "A small model." and after.manifest["metrics"] == [METRIC]
    assert "1.5" in (folder / "README.md").read_text() and "python train.py" in (folder / "README.md").read_text()
    assert "README.md" in before.contents and before.contents["README.md"] != after.contents["README.md"]
    with pytest.raises(ValueError, match="`manifest` cannot be stored"):
        update_manifest(folder, metrics=[{}])
    assert verify(folder).manifest == after.manifest
    _assert_same(zoo.load(folder), model)


def test_update_manifest_of_a_damaged_checkpoint(folder):
    (folder / "README.md").write_text("x")
    with pytest.raises(zoo.errors.CorruptCheckpoint):
        update_manifest(folder, description="New.")


def test_info(folder):
    info = zoo.info(folder)
    model = zoo.load(folder)
    assert info["parameters"] == model.count_params() and info["model"]["units"] == 3
    assert info["description"] == "A small model." and info["bytes"] == (folder / "model.safetensors").stat().st_size
    assert "training" not in info


def test_the_best_of_a_training(folder, tmp_path):
    (tmp_path / "run").mkdir()
    folder.rename(tmp_path / "run" / "best")
    assert zoo.load(tmp_path / "run").config.units == 3
    assert zoo.info(str(tmp_path / "run"))["model"]["units"] == 3


class _PathLike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize("convert", [str, Path, lambda path: _PathLike(str(path)), lambda path: f"{path}/"])
def test_kinds_of_paths(folder, convert):
    assert zoo.load(convert(folder)).config.units == zoo.info(convert(folder))["model"]["units"] == 3
    zoo.save(zoo.load(folder), convert(folder))


@pytest.mark.parametrize("function", [zoo.load, zoo.info])
@pytest.mark.parametrize(
    "name",
    ["no-such-model", "x" * 100_000, "a/" * 3000, "nul\0", "\ud800", "~nobody-here/x", "../..", "/dev/null", " "],
)
def test_unknown_names(function, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    error = FileNotFoundError if name == "../.." else zoo.errors.UnknownModel
    with pytest.raises(error) as caught:
        function(name)
    assert len(str(caught.value)) < 600


def test_close_names_are_listed(monkeypatch):
    monkeypatch.setattr("zoo.loading.PRESETS", {"mlstm-shakespeare": {"task": "language-model"}, "x": {"task": "y"}})
    with pytest.raises(zoo.errors.UnknownModel, match="Did you mean mlstm-shakespeare"):
        zoo.load("mlstm-shakespear")
    assert zoo.list_models("mlstm*") == zoo.list_models(task="language-model") == ["mlstm-shakespeare"]
    assert zoo.list_models() == ["mlstm-shakespeare", "x"] and zoo.list_models("\0", task="") == []


@pytest.mark.parametrize("function", [zoo.load, zoo.info])
@pytest.mark.parametrize("name, error", [("", ValueError), (None, TypeError), (3, TypeError), (b"x", TypeError)])
def test_names_that_are_none(function, name, error):
    with pytest.raises(error, match="`name`"):
        function(name)


def test_a_preset_pins_its_manifest(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zoo.loading.BUNDLED", (GOLDEN,))
    for function in (zoo.load, zoo.info):
        monkeypatch.setattr("zoo.loading.PRESETS", {"version-1": {"manifest_sha256": "0" * 64}})
        with pytest.raises(zoo.errors.CorruptCheckpoint, match="expected sha256 0000"):
            function("version-1")


@pytest.mark.parametrize("read", [zoo.load, zoo.info])
def test_a_folder_of_other_things_is_not_called_damaged(tmp_path, read):
    (tmp_path / "README.md").write_text("# My notes")
    with pytest.raises(FileNotFoundError, match="is a folder without a checkpoint"):
        read(tmp_path)
