import keras
import numpy as np
import pytest
from numerics import (
    DROPOUT,
    FEATURES,
    MASK,
    NUMPY_CASES,
    UNITS,
    arrays,
    assert_close,
    assert_equals_numpy,
    example,
    make,
    normal,
    outputs_and_gradients,
    sigmoid,
)

import zoo


def peephole_step(x, hidden, states, w, u, b, p_i, p_f, p_o):
    _, c = states
    i, f, g, o = np.split(x @ w + hidden @ u + b, 4, axis=-1)
    i, f = sigmoid(i + c * p_i), sigmoid(f + c * p_f)
    c = f * c + i * np.tanh(g)
    return sigmoid(o + c * p_o) * np.tanh(c), c


@pytest.mark.parametrize("flags, mask", NUMPY_CASES)
def test_equals_numpy(flags, mask):
    assert_equals_numpy(make("peephole", **flags, **DROPOUT), peephole_step, mask=mask)


def test_equals_numpy_without_bias():
    layer = make("peephole", use_bias=False, **DROPOUT)
    w, u, *peepholes = layer.get_weights()
    assert_equals_numpy(layer, peephole_step, [w, u, 0, *peepholes])


def test_weights():
    layer = make("peephole")
    assert [(w.name, w.shape) for w in layer.weights] == [
        ("kernel", (FEATURES, 4 * UNITS)),
        ("recurrent_kernel", (UNITS, 4 * UNITS)),
        ("bias", (4 * UNITS,)),
        ("input_gate_peephole_weights", (UNITS,)),
        ("forget_gate_peephole_weights", (UNITS,)),
        ("output_gate_peephole_weights", (UNITS,)),
    ]


def test_peepholes_of_zero_are_the_lstm():
    """The start by default; in outputs and in the gradients of what the two have in common."""
    peephole, lstm = make("peephole"), make("lstm")
    fresh = zoo.layers.PeepholeLSTM(UNITS)
    fresh.build((None, None, FEATURES))
    zeros = fresh.get_weights()[3:]
    assert [z.tolist() for z in zeros] == [[0.0] * UNITS] * 3
    peephole.set_weights([*lstm.get_weights(), *zeros])
    sequences, states = example(lstm)
    outputs, gradients = outputs_and_gradients(peephole, sequences, states, MASK)
    expected_outputs, expected_gradients = outputs_and_gradients(lstm, sequences, states, MASK)
    assert_close(outputs, expected_outputs)
    assert_close(gradients[:-3], expected_gradients)
    assert all(np.all(gradient != 0) for gradient in gradients[-3:])


def test_initializer_regularizer_and_constraint():
    layer = zoo.layers.PeepholeLSTM(
        UNITS,
        peephole_initializer=keras.initializers.Constant(2.0),
        peephole_regularizer=keras.regularizers.L2(0.1),
        peephole_constraint="non_neg",
    )
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(100.0), "mse")
    sequences, states = example(layer)
    assert_close(layer(sequences[:, :1]), layer(sequences[:, :1]))
    assert_close(layer.get_weights()[3:], [np.full(UNITS, 2.0)] * 3)
    # 0.1 * 2 ** 2 for each number of the three vectors
    np.testing.assert_allclose(float(sum(layer.losses)), 3 * UNITS * 0.4, rtol=1e-6)
    # The penalty alone takes each number to 2 - 100 * 2 * 0.1 * 2 = -38.
    model.fit(sequences, arrays(layer(sequences))[0], batch_size=len(sequences), verbose=0)
    assert_close(layer.get_weights()[3:], [np.zeros(UNITS)] * 3)
    assert np.any(layer.get_weights()[0] < 0)
    assert isinstance(layer.peephole_initializer, keras.initializers.Constant)
    config = type(layer).from_config(layer.get_config()).get_config()
    assert config == layer.get_config() and config["peephole_constraint"]["class_name"] == "NonNeg"


# ---- TensorFlow Addons ----

ADDONS_CELL = {
    "class_name": "Addons>PeepholeLSTMCell",
    "config": {
        "name": "peephole_lstm_cell",
        "trainable": True,
        "dtype": "float32",
        "units": 5,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "kernel_initializer": {"class_name": "Ones", "config": {}},
        "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
        "bias_initializer": {"class_name": "Zeros", "config": {}},
        "unit_forget_bias": True,
        "kernel_regularizer": None,
        "recurrent_regularizer": None,
        "bias_regularizer": None,
        "kernel_constraint": None,
        "recurrent_constraint": None,
        "bias_constraint": None,
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
        "implementation": 2,
    },
}


@pytest.mark.parametrize("implementation", [1, 2])
def test_the_vector_of_addons(implementation):
    """`tensorflow_addons/rnn/tests/peephole_lstm_cell_test.py`: every kernel, peepholes too, starts at one."""
    cell = zoo.layers.PeepholeLSTMCell(
        5, kernel_initializer="ones", peephole_initializer="ones", implementation=implementation
    )
    inputs = np.eye(5, 4)[[1, 2, 3, 4]]  # one_hot([1, 2, 3, 4], 4): the last is out of range
    output, _ = cell(inputs, cell.get_initial_state(4))
    np.testing.assert_allclose(arrays(output)[0], np.repeat([[0.417551], [0.417551], [0.417551], [0]], 5, 1), rtol=2e-6)


def test_configurations_of_addons_load():
    cell = keras.saving.deserialize_keras_object(ADDONS_CELL)
    assert type(cell) is zoo.layers.PeepholeLSTMCell
    assert cell.units == 5 and cell.implementation == 2 and isinstance(cell.kernel_initializer, keras.initializers.Ones)
    weights = [normal(2, 20), normal(5, 20), normal(20), normal(5), normal(5), normal(5)]  # in the order of Addons
    sequences = normal(2, 3, 2)
    layer = keras.layers.RNN(cell)
    layer.build(sequences.shape)
    layer.set_weights(weights)
    expected = zoo.layers.PeepholeLSTM(5)
    expected.build(sequences.shape)
    expected.set_weights(weights)
    assert_close(layer(sequences), expected(sequences), rtol=1e-5, atol=1e-6)


def test_layers_of_addons_load():
    config = {"name": "rnn", "trainable": True, "dtype": "float32", "return_sequences": True, "cell": ADDONS_CELL}
    layer = keras.layers.RNN.from_config(config)
    assert type(layer.cell) is zoo.layers.PeepholeLSTMCell
    assert layer(normal(2, 3, 2)).shape == (2, 3, 5)
