import numpy as np
import pytest
from keras import ops

from zoo.models import LanguageModel, LanguageModelConfig
from zoo.sampled_softmax import SMOOTHING, Sampled, sampled_loss
from zoo.streams import Streams
from zoo.tokenizers import SubwordTokenizer

TOKENS = np.random.default_rng(0).integers(0, 40, 2000)
COUNTS = np.bincount(TOKENS, minlength=256)


def make(tied):
    config = LanguageModelConfig(256, units=8, embedding_size=8, tied=tied)
    model = LanguageModel(config, SubwordTokenizer(()))
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def batches(samples, seed=3):
    return Sampled(Streams(TOKENS, batch_size=2, steps=5, seed=1), COUNTS, samples, seed)


def test_batches_are_those_of_the_streams_and_the_same_for_the_same_epoch():
    plain = Streams(TOKENS, batch_size=2, steps=5, seed=1)(1)
    first, again, later = batches(50)(1), batches(50)(1), batches(50)(2)
    assert len(first) == len(plain) == len(batches(50))
    for i in (0, 3):
        np.testing.assert_array_equal(first[i][0].plain(), plain[i][0])
        np.testing.assert_array_equal(first[i][1], plain[i][1])
        np.testing.assert_array_equal(first[i][2], again[i][2])
        assert (first[i][2] != later[i][2]).any()
    assert (first[0][2] != first[1][2]).any()


def test_tokens_are_drawn_as_often_as_log_q_says():
    drawn = np.concatenate([batches(4000)(0)[i][2] for i in range(20)])
    expected = (COUNTS + 1.0) ** SMOOTHING
    np.testing.assert_allclose(np.bincount(drawn, minlength=256) / len(drawn), expected / expected.sum(), atol=4e-3)
    np.testing.assert_allclose(np.exp(batches(4000).log_q), 4000 * expected / expected.sum(), rtol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_loss_is_the_equation(tied):
    model, batch = make(tied), batches(30)(0)[0]
    loss, state = sampled_loss(model, batch, model.initial_state(2))
    inputs, targets, sampled, log_q = batch
    logits, expected_state = model.forward(inputs, model.initial_state(2))
    losses = []
    for row, target in zip(ops.convert_to_numpy(logits).reshape(-1, 256), targets.ravel()):
        z = np.exp(row[target]) + sum(np.exp(row[s] - log_q[s]) for s in sampled if s != target)
        losses.append(np.log(z) - row[target])
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-4)
    np.testing.assert_allclose(state[0][0], expected_state[0][0], rtol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_with_many_samples_it_is_the_full_softmax(tied):
    model, batch = make(tied), batches(200_000)(0)[0]
    loss, _ = sampled_loss(model, batch, model.initial_state(2))
    full, _ = model.training_loss(batch[:2], model.initial_state(2))
    assert float(loss) == pytest.approx(float(full), rel=5e-3)
