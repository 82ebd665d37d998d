import numpy as np
import pytest
from numerics import (
    DROPOUT,
    FEATURES,
    MASK,
    NUMPY_CASES,
    UNITS,
    assert_close,
    assert_equals_numpy,
    example,
    make,
    outputs_and_gradients,
    sigmoid,
)

import zoo


def multiplicative_step(x, hidden, states, w, u, b, m_x, m_h, b_x=0, b_h=0):
    _, c = states
    m = (x @ m_x + b_x) * (hidden @ m_h + b_h)
    i, f, g, o = np.split(x @ w + m @ u + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("flags, mask", NUMPY_CASES)
@pytest.mark.parametrize("name", ["multiplicative", "biased multiplicative"])
def test_equals_numpy(name, flags, mask):
    assert_equals_numpy(make(name, **flags, **DROPOUT), multiplicative_step, mask=mask)


def test_equals_numpy_with_weight_normalization():
    layer = make("normalized multiplicative", use_multiplicative_bias=True, **DROPOUT)
    w, u, b, m_x, m_h, b_x, b_h, *gains = layer.get_weights()
    w, u, m_x, m_h = (k / np.linalg.norm(k, axis=0) * gain for k, gain in zip((w, u, m_x, m_h), gains))
    assert_equals_numpy(layer, multiplicative_step, [w, u, b, m_x, m_h, b_x, b_h], MASK)


def test_equals_numpy_without_bias():
    layer = make("multiplicative", use_bias=False, **DROPOUT)
    w, u, m_x, m_h = layer.get_weights()
    assert_equals_numpy(layer, multiplicative_step, [w, u, 0, m_x, m_h])


def test_weights():
    layer = make("multiplicative", use_multiplicative_bias=True, weight_normalization=True)
    assert [(w.name, w.shape) for w in layer.weights] == [
        ("kernel", (FEATURES, 4 * UNITS)),
        ("recurrent_kernel", (UNITS, 4 * UNITS)),
        ("bias", (4 * UNITS,)),
        ("multiplicative_kernel", (FEATURES, UNITS)),
        ("multiplicative_recurrent_kernel", (UNITS, UNITS)),
        ("multiplicative_bias", (UNITS,)),
        ("multiplicative_recurrent_bias", (UNITS,)),
        ("kernel_gain", (4 * UNITS,)),
        ("recurrent_kernel_gain", (4 * UNITS,)),
        ("multiplicative_kernel_gain", (UNITS,)),
        ("multiplicative_recurrent_kernel_gain", (UNITS,)),
    ]
    assert len(make("multiplicative").weights) == 5


@pytest.mark.parametrize("implementation", [1, 2])
def test_reduces_to_the_lstm(implementation):
    """With M_x = 0, a bias of one on that factor, and M_h = I."""
    lstm = make("lstm", implementation=implementation)
    layer = make("biased multiplicative", implementation=implementation)
    factors = [np.zeros((FEATURES, UNITS)), np.eye(UNITS), np.ones(UNITS), np.zeros(UNITS)]
    layer.set_weights([*lstm.get_weights(), *factors])
    sequences, states = example(lstm)
    outputs, gradients = outputs_and_gradients(layer, sequences, states, MASK)
    expected_outputs, expected_gradients = outputs_and_gradients(lstm, sequences, states, MASK)
    for output, expected in zip(outputs, expected_outputs):
        np.testing.assert_array_equal(output, expected)
    in_common = len(expected_gradients)
    assert_close(gradients[1:in_common], expected_gradients[1:])
    assert_close(gradients[0], expected_gradients[0])


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"use_multiplicative_bias": True}, {"unroll": True}])
def test_folded_is_the_same_function(options):
    layer = make("normalized multiplicative", **options)
    folded = layer.folded()
    assert not folded.weight_normalization and len(folded.weights) == len(layer.weights) - 4
    assert {**folded.get_config(), "weight_normalization": True} == layer.get_config()
    sequences, states = example(layer)
    call = {"initial_state": states, "mask": MASK}
    assert_close(folded(sequences, **call), layer(sequences, **call), rtol=1e-6)
    assert_close(folded.folded()(sequences, **call), folded(sequences, **call))


def test_weight_normalization_starts_at_the_kernels_as_drawn():
    layer = zoo.layers.MultiplicativeLSTM(UNITS, weight_normalization=True)
    layer.build((None, None, FEATURES))
    kernels = [layer.get_weights()[k] for k in (0, 1, 3, 4)]
    assert_close(layer.cell.kernels(), kernels, rtol=1e-5, atol=1e-6)


def test_weight_normalization_does_not_see_the_length_of_a_direction():
    layer = make("normalized multiplicative")
    sequences, states = example(layer)
    expected = layer(sequences, initial_state=states)
    kernels, gains = layer.get_weights()[:2], layer.get_weights()[2:]
    layer.set_weights([7 * kernel for kernel in kernels] + gains)
    assert_close(layer(sequences, initial_state=states), expected)
