"""Dynamic evaluation, against its equation taken step by step, and that it leaves no trace."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from zoo import cli
from zoo.dynamic_evaluation import score
from zoo.models import LanguageModel, LanguageModelConfig
from zoo.tokenizers import CharacterTokenizer

TEXT = "over and over again, over and over again. "


@pytest.fixture(scope="module")
def model():
    tokenizer = CharacterTokenizer.of(TEXT)
    keras.utils.set_random_seed(1)
    return LanguageModel(LanguageModelConfig(tokenizer.vocabulary_size, "mlstm", units=8, dropout=0.3), tokenizer)


def gradients(model, batch, state):
    """Of the mean loss, by automatic differentiation, without dropout; the loss and the new state with them."""
    if keras.backend.backend() == "jax":
        import jax

        variables = model.trainable_variables

        def loss_of(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return model.batch_loss(batch, state)

        (loss, state), found = jax.value_and_grad(loss_of, has_aux=True)([v.value for v in variables])
        return loss, state, found
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss, state = model.batch_loss(batch, state)
    return loss, state, tape.gradient(loss, [v.value for v in model.trainable_variables])


def test_each_segment_is_scored_before_it_is_learnt(model):
    """theta[i] = theta[i-1] - rate * gradient + decay * (theta[0] - theta[i-1])"""
    steps, rate, decay, clip = 16, 0.3, 0.1, 0.5
    found = score(model, TEXT, rate, decay, steps, clip)
    tokens = model.tokenizer.encode(TEXT)
    before = np.concatenate([[model.tokenizer.start_id], tokens[:-1]])
    first, state, nats = model.get_weights(), model.initial_state(1), 0.0
    try:
        for start in range(0, len(tokens), steps):
            batch = before[None, start : start + steps], tokens[None, start : start + steps]
            loss, state, found_gradients = gradients(model, batch, state)
            nats += float(loss) * batch[0].size
            arrays = [np.asarray(ops.convert_to_numpy(g)) for g in found_gradients]
            norm = np.sqrt(sum((a.astype("float64") ** 2).sum() for a in arrays))
            for variable, start_value, gradient in zip(model.trainable_variables, first, arrays):
                value = ops.convert_to_numpy(variable)
                step = rate * gradient * min(1, clip / norm)
                variable.assign(value - step + decay * (start_value - value))
    finally:
        model.set_weights(first)
    assert found.nats == pytest.approx(nats, rel=1e-4)
    assert (found.tokens, found.characters, found.words) == (len(tokens), len(TEXT), 8)


def test_it_learns_and_leaves_the_model_as_it_was(model):
    text = TEXT * 12
    weights, plain = model.get_weights(), model.score(text)
    learning = score(model, text, learning_rate=0.5, decay=0.0)
    assert learning.nats < 0.9 * plain.nats
    assert score(model, text, learning_rate=1e-9, decay=0.0).nats == pytest.approx(plain.nats, rel=1e-4)
    for before, after in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(before, after)
    assert score(model, "", learning_rate=0.5).nats == 0


def test_interrupted_it_leaves_the_model_as_it_was(model):
    weights = model.get_weights()

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(model, TEXT, learning_rate=0.5, progress=stop)
    for before, after in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("wrong", [{"learning_rate": 0}, {"decay": 1.1}, {"steps": 0}, {"clip_norm": float("nan")}])
def test_numbers_out_of_range(model, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        score(model, TEXT, **{"learning_rate": 0.1, **wrong})


def test_too_high_a_learning_rate(model):
    weights = model.get_weights()
    with pytest.raises(zoo.errors.TrainingDiverged, match="lower learning rate"):
        score(model, TEXT * 12, learning_rate=3e38, decay=0.0)
    for before, after in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(before, after)


def test_command(model, tmp_path, capsys):
    zoo.save(model, tmp_path / "model")
    (tmp_path / "text.txt").write_text(TEXT)
    words = ["evaluate", str(tmp_path / "model"), "--text", str(tmp_path / "text.txt"), "--dynamic", "0.2", "--json"]
    assert cli.main(words) == 0
    expected = score(zoo.load(tmp_path / "model"), TEXT, 0.2)
    assert json.loads(capsys.readouterr().out)["nats_per_character"] == pytest.approx(expected.nats_per_character)
