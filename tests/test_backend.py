"""The backends alike. As a script: the figures of the backend in KERAS_BACKEND, to a file."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from zoo.backend import compiled, training_step
from zoo.models import LanguageModel, LanguageModelConfig
from zoo.samplers import sample
from zoo.streams import Streams
from zoo.tokenizers import CharacterTokenizer

TEXT = "a bad cab\nfed a fad egg\n" * 9
TOKENIZER = CharacterTokenizer.of(TEXT)
MODELS = {
    "two layers, weight normalization, tied": {
        "recurrent": "mlstm",
        "layers": 2,
        "tied": True,
        "weight_normalization": True,
    },
}


def make(name):
    """The same weights on every backend."""
    config = LanguageModelConfig(TOKENIZER.vocabulary_size, units=8, embedding_size=8, **MODELS[name])
    model = LanguageModel(config, TOKENIZER)
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(random.normal(scale=0.4, size=variable.shape))
    return model


def trained(model, steps):
    """Losses, and what validation and moving average say after them."""
    optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.01, epsilon=1e-3, global_clipnorm=0.5)
    optimizer.build(model.trainable_variables)
    averages = [keras.Variable(v, trainable=False) for v in model.trainable_variables]
    streams = Streams(TOKENIZER.encode(TEXT), batch_size=3, steps=10)
    step, sync = training_step(model, optimizer, model.training_loss, averages, momentum=0.9)
    losses, state = [], model.initial_state(3)
    for i in range(steps):
        loss, state = step(streams(0)[i], state)
        losses.append(float(loss))
    sync()
    return {
        "losses": losses,
        "state": ops.convert_to_numpy(state[0][0]),
        "iterations": int(optimizer.iterations),
        "averages": np.concatenate([ops.convert_to_numpy(a).ravel() for a in averages]),
    }


def figures():
    found = {}
    for name in MODELS:
        model = make(name)
        before = model.score(TEXT[:30]).log_probabilities, model.generate("a", length=20, seed=1)
        found |= {f"{name}: {k}": v for k, v in trained(model, steps=5).items()}
        found[f"{name}: before"], found[f"{name}: before, text"] = before
        found[f"{name}: after"] = model.score(TEXT[:30]).log_probabilities  # the loops compiled before training
        found[f"{name}: after, text"] = model.generate("a", length=20, seed=1)
    logits = np.random.default_rng(2).normal(size=(50, 20)).astype("float32")
    uniform = np.random.default_rng(3).random(50).astype("float32")
    for temperature in (1e-3, 1e-9, 1e-29, 1e-45):
        coldest = compiled(sample, [])(logits, uniform, np.float32(temperature))
        np.testing.assert_array_equal(ops.convert_to_numpy(coldest), logits.argmax(-1))
    found["tokens"] = ops.convert_to_numpy(sample(logits, uniform, np.float32(0.8), np.int32(9), np.float32(0.7)))
    return found


def test_tensorflow_and_jax_give_the_same(tmp_path):
    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    process = subprocess.Popen(
        [sys.executable, __file__, tmp_path / "other.npz"],
        env={**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    ours = figures()  # meanwhile
    assert process.wait() == 0
    with np.load(tmp_path / "other.npz") as theirs:
        assert set(ours) == set(theirs)
        for key, value in ours.items():
            if np.asarray(value).dtype.kind == "f":
                np.testing.assert_allclose(theirs[key], value, rtol=1e-4, atol=1e-5, err_msg=key)
            else:
                np.testing.assert_array_equal(theirs[key], value, err_msg=key)
    for name in MODELS:
        assert ours[f"{name}: iterations"] == 5
        assert np.abs(ours[f"{name}: after"] - ours[f"{name}: before"]).max() > 0.01


def test_compiled_sees_later_assignments():
    variable = keras.Variable(np.ones(3, "float32"))
    function = compiled(lambda x, pair: (x * variable, (pair[0] + variable, pair[1])), [variable])
    for value in (2.0, 3.0):
        variable.assign([value] * 3)
        product, (total, same) = function(np.full(3, 5, "float32"), (np.ones(3, "float32"), np.int32(7)))
        np.testing.assert_array_equal(ops.convert_to_numpy(product), [5 * value] * 3)
        np.testing.assert_array_equal(ops.convert_to_numpy(total), [1 + value] * 3)
        assert int(same) == 7


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(RuntimeError, match="TensorFlow and JAX.*KERAS_BACKEND=torch"):
        training_step(None, None, None)


if __name__ == "__main__":
    np.savez(sys.argv[1], **figures())
