"""Weights on disk as whole numbers with a scale for each output channel."""

import json

import numpy as np
import pytest

import zoo
from zoo.errors import UnsafeCheckpoint
from zoo.stored_weights import decode, encode, layout, parse, sizes, to_bytes

RANDOM = np.random.default_rng(1)
ARRAYS = {
    "embedding/embeddings": RANDOM.normal(0, 1, (7, 3)).astype("float32") * np.geomspace(1e-3, 1e3, 7)[:, None],
    "layer/kernel": RANDOM.normal(0, 1, (5, 4)).astype("float32") * np.geomspace(1e-3, 1e3, 4),
    "layer/bias": RANDOM.normal(0, 1, 4).astype("float32"),
    "layer/nothing": np.zeros((2, 2), "float32"),
}
ARRAYS = {name: array.astype("float32") for name, array in ARRAYS.items()}
SHAPES = {name: array.shape for name, array in ARRAYS.items()}


def test_each_channel_is_right_to_half_a_step():
    stored = encode(ARRAYS, "int8")
    assert {name: (array.dtype.name, array.shape) for name, array in stored.items()} == layout(SHAPES, "int8")
    found = decode(stored, SHAPES, "int8")
    assert np.array_equal(found["layer/bias"], ARRAYS["layer/bias"]) and not found["layer/nothing"].any()
    for name, axis in (("embedding/embeddings", 1), ("layer/kernel", 0)):
        step = np.abs(ARRAYS[name]).max(axis=axis, keepdims=True) / 127
        assert (np.abs(found[name] - ARRAYS[name]) <= step * 0.5001).all() and found[name].dtype == "float32"


def test_what_is_read_is_written_again_as_it_was():
    data = to_bytes(encode(ARRAYS, "int8"))
    assert len(data) in sizes(SHAPES, "int8")
    again = to_bytes(encode(parse(data, SHAPES, "int8", "x"), "int8"))
    assert np.mean(np.frombuffer(data, "u1") != np.frombuffer(again, "u1")) < 0.01  # but for the scales' last bits


def test_a_model_of_int8_says_what_the_model_says(tmp_path):
    model = zoo.load("mlstm-shakespeare")
    zoo.save(model, tmp_path / "small", dtype="int8")
    before, after = (zoo.info(name)["bytes"] for name in ("mlstm-shakespeare", tmp_path / "small"))
    assert after < 0.53 * before
    text = "Shall I compare thee to a summer's day?"
    expected = model.score(text).nats_per_character
    assert zoo.load(tmp_path / "small").score(text).nats_per_character == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_hostile_scales(value):
    stored = encode(ARRAYS, "int8")
    stored["layer/kernel/scale"] = np.full(4, value, "float32")
    with pytest.raises(UnsafeCheckpoint):
        parse(to_bytes(stored), SHAPES, "int8", "x")


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite_are_not_saved(tmp_path, value):
    config = zoo.models.LanguageModelConfig(256, units=3, embedding_size=2)
    model = zoo.models.LanguageModel(config, zoo.tokenizers.ByteTokenizer())
    kernel = next(weight for name, weight in model.named_weights().items() if name.endswith("/kernel"))
    kernel.assign(np.full(kernel.shape, value))
    with pytest.raises(ValueError, match="not finite as int8"):
        zoo.save(model, tmp_path / "model", dtype="int8")
    assert not (tmp_path / "model").exists()


def test_a_header_without_scales():
    stored = encode(ARRAYS, "int8")
    del stored["layer/kernel/scale"]
    with pytest.raises(zoo.errors.IncompatibleCheckpoint, match="kernel/scale"):
        parse(to_bytes(stored), SHAPES, "int8", "x")
    assert json.loads(to_bytes(stored)[8:].split(b"}}")[0] + b"}}")["layer/kernel"]["dtype"] == "I8"
