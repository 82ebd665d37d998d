"""Every layer with its weights, the time loop in NumPy, and gradients: by the backend and by finite differences.

Run as a script it writes the outputs and the gradients of every layer on the current backend to a file.
"""

import sys

import keras
import numpy as np
import pytest
from keras import ops, tree

import zoo

LAYERS = {
    "lstm": (zoo.layers.LSTM, {}),
    "peephole": (zoo.layers.PeepholeLSTM, {}),
    "multiplicative": (zoo.layers.MultiplicativeLSTM, {}),
    "biased multiplicative": (zoo.layers.MultiplicativeLSTM, {"use_multiplicative_bias": True}),
    "normalized multiplicative": (zoo.layers.MultiplicativeLSTM, {"weight_normalization": True}),
    "gru": (zoo.layers.GRU, {}),
    "simple": (zoo.layers.SimpleRNN, {}),
}
CLASSES = [
    zoo.layers.LSTM,
    zoo.layers.PeepholeLSTM,
    zoo.layers.MultiplicativeLSTM,
    zoo.layers.GRU,
    zoo.layers.SimpleRNN,
]
KERAS_TWINS = {
    zoo.layers.LSTM: keras.layers.LSTM,
    zoo.layers.GRU: keras.layers.GRU,
    zoo.layers.SimpleRNN: keras.layers.SimpleRNN,
}
DROPOUT = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 1}
BATCH, TIME, FEATURES, UNITS = 4, 5, 2, 3
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], dtype="bool")
RIGHT_PADDED = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]], dtype="bool")


def slow(*values):
    """A parameter, or several, of the slow tier."""
    return pytest.param(*values, marks=pytest.mark.slow)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def randomized(layer, seed=0):
    """The layer, with weights drawn anew."""
    layer.set_weights([0.6 * normal(*w.shape, seed=(seed, k)) for k, w in enumerate(layer.get_weights())])
    return layer


def make(name, features=FEATURES, **options):
    """A layer of `LAYERS` in float64 that returns everything, with random weights, the same on every backend."""
    layer_class, own = LAYERS[name]
    defaults = {"units": UNITS, "return_sequences": True, "return_state": True, "dtype": "float64"}
    layer = layer_class(**{**defaults, **own, **options})
    layer.build((BATCH, TIME, features))
    return randomized(layer)


def example(layer, time=TIME, seed=0):
    """A batch of sequences and the initial states."""
    return normal(BATCH, time, FEATURES, seed=seed), [normal(BATCH, UNITS, seed=(seed, k)) for k in layer.state_size]


def arrays(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tree.flatten(tensors)]


def assert_close(actual, expected, rtol=1e-9, atol=1e-11):
    actual, expected = arrays(actual), arrays(expected)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected):
        np.testing.assert_allclose(a, e, rtol=rtol, atol=atol)


# ---- the time loop, in NumPy ----


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def run_numpy(
    step, weights, sequences, states, mask=None, hidden_dropout=1.0, go_backwards=False, zero_output_for_mask=False
):
    """Outputs and final states of `step(x, hidden, states, *weights) -> new_states`; `hidden` is after dropout."""
    if mask is None:
        mask = np.ones(sequences.shape[:2], dtype="bool")
    steps = list(zip(np.swapaxes(sequences, 0, 1), mask.T[:, :, None]))
    outputs, output = [], np.zeros_like(states[0])
    for x, visible in reversed(steps) if go_backwards else steps:
        new_states = step(x, states[0] * hidden_dropout, states, *weights)
        states = [np.where(visible, new, old) for new, old in zip(new_states, states)]
        output = np.where(visible, states[0], 0 if zero_output_for_mask else output)
        outputs.append(output)
    return [np.stack(outputs, axis=1), *states]


NUMPY_CASES = [({}, None), ({}, MASK), ({"go_backwards": True}, MASK), ({"zero_output_for_mask": True}, MASK)]


def assert_equals_numpy(layer, step, weights=None, mask=None):
    """A layer just made, in training with its dropout and then in inference, against `run_numpy`."""
    sequences, states = example(layer)
    weights = layer.get_weights() if weights is None else weights
    options = {"mask": mask, "go_backwards": layer.go_backwards, "zero_output_for_mask": layer.zero_output_for_mask}
    seed = keras.random.SeedGenerator(layer.cell.seed)
    inputs_dropout = dropout_factors((BATCH, FEATURES), layer.dropout, seed)
    hidden_dropout = dropout_factors((BATCH, UNITS), layer.recurrent_dropout, seed)
    dropped = sequences * inputs_dropout[:, None]
    expected = run_numpy(step, weights, dropped, states, hidden_dropout=hidden_dropout, **options)
    assert_close(layer(sequences, initial_state=states, mask=mask, training=True), expected)
    expected = run_numpy(step, weights, sequences, states, **options)
    assert_close(layer(sequences, initial_state=states, mask=mask), expected)


def dropout_factors(shape, rate, seed):
    """What Keras multiplies with: zero, or one over the probability of staying."""
    factors = arrays(keras.random.dropout(np.ones(shape), rate, seed=seed))[0]
    np.testing.assert_allclose(np.unique(factors), [0, 1 / (1 - rate)])
    return factors


# ---- gradients ----


def as_function(layer, states=(), mask=None, training=False):
    """`(sequences, *states, *weights) -> (loss, outputs)`: the loss is a random projection of all outputs.

    Calls do not advance the layer's seeds, so that each has the same dropout.
    """

    def function(*tensors):
        sequences, states_now, weights = tensors[0], tensors[1 : 1 + len(states)], tensors[1 + len(states) :]
        with keras.StatelessScope(list(zip(layer.trainable_variables, weights))):
            outputs = layer(sequences, initial_state=list(states_now) or None, mask=mask, training=training)
        outputs = tree.flatten(outputs)
        losses = [ops.sum(x * ops.cast(normal(*x.shape, seed=k), x.dtype)) for k, x in enumerate(outputs)]
        return sum(losses[1:], losses[0]), outputs

    return function


def operands(layer, sequences, states=()):
    """What `as_function` takes: the sequences, each initial state and each weight."""
    return [ops.convert_to_tensor(x, dtype=layer.compute_dtype) for x in (sequences, *states)] + [
        ops.convert_to_tensor(variable.numpy()) for variable in layer.trainable_variables
    ]


def outputs_and_gradients(layer, sequences, states=(), mask=None, training=False):
    """All outputs, and the gradients by the sequences, each initial state and each weight."""
    function, tensors = as_function(layer, states, mask, training), operands(layer, sequences, states)
    if keras.backend.backend() == "jax":
        import jax

        differentiated = jax.value_and_grad(function, argnums=tuple(range(len(tensors))), has_aux=True)
        (_, outputs), gradients = jax.jit(differentiated)(*tensors)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss, outputs = function(*tensors)
        gradients = tape.gradient(loss, tensors, unconnected_gradients="zero")
    return arrays(outputs), arrays(gradients)


def compiled(function, **options):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False, **options)


def finite_differences(layer, sequences, states=(), mask=None, training=False, step=1e-5):
    """The gradients of `outputs_and_gradients`, number by number, from central differences of the loss."""
    function, tensors = as_function(layer, states, mask, training), arrays(operands(layer, sequences, states))
    loss = compiled(lambda *tensors: function(*tensors)[0])

    def moved(position, index, by):
        changed = [tensor.copy() for tensor in tensors]
        changed[position][index] += by
        return float(loss(*map(ops.convert_to_tensor, changed)))

    gradients = [np.zeros_like(tensor) for tensor in tensors]
    for position, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            gradient[index] = (moved(position, index, step) - moved(position, index, -step)) / (2 * step)
    return gradients


def main(path):
    results = {}
    for name in LAYERS:
        for masked, mask in (("plain", None), ("masked", MASK)):
            layer = make(name)
            outputs, gradients = outputs_and_gradients(layer, *example(layer), mask)
            results |= {f"{name}/{masked}/{k:02}": x for k, x in enumerate(outputs + gradients)}
    np.savez(path, **results)


if __name__ == "__main__":
    import conftest  # noqa: F401 (float64 on JAX)

    main(sys.argv[1])
