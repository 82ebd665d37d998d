import keras
import numpy as np
import pytest
from numerics import (
    DROPOUT,
    FEATURES,
    NUMPY_CASES,
    UNITS,
    arrays,
    assert_close,
    assert_equals_numpy,
    example,
    make,
    normal,
    randomized,
    sigmoid,
)

import zoo


def lstm_step(x, hidden, states, w, u, b):
    _, c = states
    i, f, g, o = np.split(x @ w + hidden @ u + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("flags, mask", NUMPY_CASES)
def test_equals_numpy(flags, mask):
    assert_equals_numpy(make("lstm", **flags, **DROPOUT), lstm_step, mask=mask)


def test_equals_numpy_without_bias():
    layer = make("lstm", use_bias=False, **DROPOUT)
    assert_equals_numpy(layer, lstm_step, [*layer.get_weights(), 0])


@pytest.mark.parametrize("layer_class", [zoo.layers.LSTM, zoo.layers.PeepholeLSTM, zoo.layers.MultiplicativeLSTM])
@pytest.mark.parametrize("forget, expected", [(True, 1), (1.0, 1), (5.0, 5), (False, 0), (-2, -2)])
def test_forget_bias_is_a_number(layer_class, forget, expected):
    layer = layer_class(UNITS, unit_forget_bias=forget)
    layer.build((None, None, FEATURES))
    (bias,) = arrays([layer.cell.bias.value + 0])
    np.testing.assert_array_equal(bias, np.repeat([0, expected, 0, 0], UNITS))
    restored = layer_class.from_config(layer.get_config())
    assert restored.unit_forget_bias == forget and type(restored.unit_forget_bias) is type(forget)


def test_forget_bias_leaves_the_others_to_their_initializer():
    layer = zoo.layers.LSTM(UNITS, bias_initializer="ones", unit_forget_bias=5.0)
    layer.build((None, None, FEATURES))
    np.testing.assert_array_equal(layer.get_weights()[2], np.repeat([1, 5, 1, 1], UNITS))
    assert isinstance(layer.bias_initializer, keras.initializers.Ones)
    layer = zoo.layers.LSTM(UNITS, bias_initializer="ones", unit_forget_bias=False)
    layer.build((None, None, FEATURES))
    np.testing.assert_array_equal(layer.get_weights()[2], np.ones(4 * UNITS))


@pytest.mark.parametrize(
    "cell_class", [zoo.layers.LSTMCell, zoo.layers.PeepholeLSTMCell, zoo.layers.MultiplicativeLSTMCell]
)
def test_cell(cell_class):
    """Every argument of Keras' cell by position, one step, states, configuration."""
    arguments = [3, "relu", "tanh", False, "ones", "zeros", "ones", False, "l1", "l2", "l1", "non_neg", "unit_norm"]
    arguments += ["non_neg", 0.1, 0.2, 7]
    by_position, of_keras = cell_class(*arguments), keras.layers.LSTMCell(*arguments)
    config = by_position.get_config()
    expected = of_keras.get_config() | {"implementation": 2}
    assert {key: config[key] for key in expected if key != "name"} == {k: v for k, v in expected.items() if k != "name"}
    assert cell_class.from_config(config).get_config() == config

    cell = cell_class(UNITS, dtype="float64")
    cell.build((None, FEATURES))
    assert list(cell.state_size) == [UNITS, UNITS] and cell.output_size == UNITS
    zeros = cell.get_initial_state(2)
    assert_close(zeros, [np.zeros((2, UNITS))] * 2)
    output, states = cell(normal(2, FEATURES), zeros)
    assert_close(output, states[0])
    layer = keras.layers.RNN(cell, dtype="float64")
    assert_close(layer(normal(2, 1, FEATURES)), cell(normal(2, 1, FEATURES)[:, 0], zeros)[0])


@pytest.mark.parametrize(
    "cell_class", [zoo.layers.LSTMCell, zoo.layers.PeepholeLSTMCell, zoo.layers.MultiplicativeLSTMCell]
)
@pytest.mark.parametrize("units", [0, -1])
def test_units_must_be_positive(cell_class, units):
    with pytest.raises(ValueError, match=f"`units`.*positive integer.*{units}"):
        cell_class(units)


@pytest.mark.parametrize("implementation", [1, 2])
def test_recurrent_dropout_of_keras(implementation):
    """Keras draws four masks; implementation 1 does too and gives its numbers, implementation 2 shares one."""
    ours = make("lstm", **DROPOUT, implementation=implementation)
    theirs = keras.layers.LSTM(
        UNITS, return_sequences=True, return_state=True, dtype="float64", **DROPOUT, implementation=implementation
    )
    sequences, states = example(ours)
    theirs.build(sequences.shape)
    randomized(theirs)
    results = [arrays(layer(sequences, initial_state=states, training=True)) for layer in (ours, theirs)]
    tolerance = 1e-6  # Keras' tanh on JAX is of float32
    equal = [np.allclose(ours, theirs, atol=tolerance) for ours, theirs in zip(*results)]
    assert equal == [implementation == 1] * 3
