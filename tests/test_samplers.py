import keras
import numpy as np
import pytest
from keras import ops

from zoo.backend import compiled
from zoo.samplers import check_sampling, sample

LOGITS = np.log(np.array([0.0, 0.4, 0.3, 0.2, 0.06, 0.04, 0.0], "float32") + 1e-45)
ALMOST_ONE = np.float32(1 - 2**-24)


def scalar(value, dtype):
    return None if value is None else np.asarray(value, dtype)


def drawn(logits, uniforms, temperature=1.0, top_k=None, top_p=None):
    """The token that each of the random numbers gives."""
    uniforms = np.asarray(uniforms, "float32")
    if np.ndim(logits) == 1:
        logits = np.tile(np.asarray(logits, "float32"), (len(uniforms), 1))
    tokens = sample(logits, uniforms, scalar(temperature, "float32"), scalar(top_k, "int32"), scalar(top_p, "float32"))
    assert keras.backend.standardize_dtype(tokens.dtype) == "int32"
    return ops.convert_to_numpy(tokens)


def frequencies(*arguments, **options):
    """The shares of the unit interval that give each token, to 1e-4."""
    uniforms = (np.arange(10_000) + 0.5) / 10_000
    return np.bincount(drawn(LOGITS, uniforms, *arguments, **options), minlength=len(LOGITS)) / 10_000


def normalized(p):
    return np.asarray(p) / np.sum(p)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_shares_are_the_probabilities(temperature):
    expected = normalized(np.exp(LOGITS.astype("float64") / temperature))
    np.testing.assert_allclose(frequencies(temperature), expected, atol=2e-4)


def test_frequencies_of_random_numbers_pass_a_chi_square_test():
    logits = np.random.default_rng(1).normal(size=30).astype("float32")
    draws = 20_000
    counts = np.bincount(drawn(logits, np.random.default_rng(2).random(draws)), minlength=30)
    expected = draws * normalized(np.exp(logits.astype("float64")))
    assert np.sum((counts - expected) ** 2 / expected) < 58.3  # 29 degrees of freedom, one in a thousand


@pytest.mark.parametrize(
    "options, kept",
    [
        ({"top_k": 1}, [0.4]),
        ({"top_k": 3}, [0.4, 0.3, 0.2]),
        ({"top_k": 7}, [0.4, 0.3, 0.2, 0.06, 0.04]),
        ({"top_p": 1e-46}, [0.4]),
        ({"top_p": 0.39}, [0.4]),
        ({"top_p": 0.41}, [0.4, 0.3]),
        ({"top_p": 0.95}, [0.4, 0.3, 0.2, 0.06]),
        ({"top_p": 1.0}, [0.4, 0.3, 0.2, 0.06, 0.04]),
        ({"top_k": 2, "top_p": 0.89}, [0.4, 0.3]),
        ({"top_k": 4, "top_p": 0.5}, [0.4, 0.3]),
    ],
    ids=str,
)
def test_top_k_and_top_p(options, kept):
    expected = np.zeros(len(LOGITS))
    expected[1 : 1 + len(kept)] = normalized(kept)
    np.testing.assert_allclose(frequencies(**options), expected, atol=2e-4)


def test_top_p_takes_the_temperature_into_account():
    hot = normalized(np.sqrt([0.4, 0.3, 0.2, 0.06, 0.04]))  # 0.31, 0.27, 0.22, ...
    expected = np.concatenate([[0], normalized(hot[:2]), np.zeros(4)])
    np.testing.assert_allclose(frequencies(2.0, top_p=0.5), expected, atol=2e-4)


def test_ties_with_the_last_kept_stay():
    logits = np.log([0.1, 0.3, 0.3, 0.3])
    assert set(drawn(logits, np.linspace(0, ALMOST_ONE, 50), top_k=2)) == {1, 2, 3}
    assert set(drawn(np.zeros(4), np.linspace(0, ALMOST_ONE, 50), top_p=0.1)) == {0, 1, 2, 3}


@pytest.mark.parametrize("temperature", [1e-46, 1e-40, 1e-20, 1e-3])
def test_the_least_temperature_gives_the_likeliest(temperature):
    logits = np.random.default_rng(3).normal(size=(50, 20)).astype("float32")
    logits[:, 7] = -np.inf
    tokens = drawn(logits, np.random.default_rng(4).random(50), temperature)
    np.testing.assert_array_equal(tokens, logits.argmax(-1))


@pytest.mark.parametrize("uniform", [0.0, 0.5, ALMOST_ONE])
@pytest.mark.parametrize("options", [{}, {"temperature": 1e30}, {"top_k": 3}, {"top_p": 0.6}], ids=str)
def test_never_a_token_of_probability_zero(options, uniform):
    logits = np.random.default_rng(5).normal(size=(200, 50)).astype("float32")
    logits[:, [0, 20, 49]] = -np.inf
    tokens = drawn(logits, np.full(200, uniform), **options)
    assert not set(tokens) & {0, 20, 49}


def test_rounding_of_the_compiled_sum_draws_no_excluded_token():
    """XLA's cumulative sum, added up as a tree, grows here and there where the probability is zero."""

    def find(logits):
        return ops.cumsum(probabilities(logits), axis=-1), probabilities(logits)

    def probabilities(logits):
        likeliest = ops.top_k(logits, 10)[0][:, -1:]
        return ops.softmax(ops.where(logits >= likeliest, logits, -np.inf), axis=-1)

    logits = np.random.default_rng(0).normal(scale=2, size=(64, 1000)).astype("float32")
    kept = np.argsort(-logits, axis=-1)[:, :10]
    cumulative, shares = (ops.convert_to_numpy(x) for x in compiled(find, [])(logits))
    loop = compiled(lambda logits, uniforms: sample(logits, uniforms, np.float32(1), np.int32(10)), [])
    for step in range(-3, 4):  # random numbers that fall on the borders between tokens, and beside them
        for token in range(10):
            border = np.take_along_axis(cumulative, kept[:, token : token + 1], -1)[:, 0] / cumulative[:, -1]
            uniforms = np.clip(border + step * 2**-24, 0, ALMOST_ONE).astype("float32")
            tokens = ops.convert_to_numpy(loop(logits, uniforms))
            assert (np.take_along_axis(shares, tokens[:, None], -1) > 0).all()


@pytest.mark.parametrize(
    "name, value, error",
    [
        *(("temperature", value, ValueError) for value in (-1, -1e-9, float("nan"), float("inf"))),
        *(("temperature", value, TypeError) for value in (None, "1", True, [1.0])),
        *(("top_k", value, ValueError) for value in (0, -1, 8)),
        *(("top_k", value, TypeError) for value in (True, 2.0, "2", float("nan"))),
        *(("top_p", value, ValueError) for value in (0, -0.5, 1.001, float("nan"))),
        *(("top_p", value, TypeError) for value in (True, "0.5", [0.5])),
    ],
)
def test_errors_name_the_argument(name, value, error):
    settings = {"temperature": 1.0, "top_k": None, "top_p": None, name: value}
    with pytest.raises(error, match=f"`{name}` must be .* Received: {name}="):
        check_sampling(**settings, vocabulary_size=7)


@pytest.mark.parametrize("settings", [(0, None, None), (1e-9, 1, 1), (100, 7, 1e-9), (np.float32(1), np.int64(3), 0.5)])
def test_sound_settings_pass(settings):
    check_sampling(*settings, vocabulary_size=7)
