import keras
import numpy as np
import pytest
from numerics import (
    DROPOUT,
    NUMPY_CASES,
    UNITS,
    arrays,
    assert_close,
    assert_equals_numpy,
    example,
    make,
    randomized,
    sigmoid,
)


def gru_step(x, hidden, states, w, u, b):
    (h,), (b, recurrent_b) = states, b
    x_z, x_r, x_h = np.split(x @ w + b, 3, axis=-1)
    h_z, h_r, h_h = np.split(hidden @ u + recurrent_b, 3, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return (z * h + (1 - z) * np.tanh(x_h + r * h_h),)


@pytest.mark.parametrize("flags, mask", NUMPY_CASES)
def test_equals_numpy(flags, mask):
    assert_equals_numpy(make("gru", **flags, **DROPOUT), gru_step, mask=mask)


def test_equals_numpy_without_bias():
    layer = make("gru", use_bias=False, **DROPOUT)
    assert_equals_numpy(layer, gru_step, [*layer.get_weights(), (0, 0)])


@pytest.mark.parametrize("options", [{"reset_after": False}, {"implementation": 1}, {"unroll": True}])
def test_dropout_of_keras_where_the_cell_runs(options):
    """The cell draws the three masks of Keras, in each option that takes the general path."""
    ours = make("gru", **DROPOUT, **options)
    assert not ours.fused
    theirs = keras.layers.GRU(UNITS, return_sequences=True, return_state=True, dtype="float64", **DROPOUT, **options)
    sequences, states = example(ours)
    theirs.build(sequences.shape)
    randomized(theirs)
    results = [layer(sequences, initial_state=states, training=True) for layer in (ours, theirs)]
    assert_close(*results)
    plain = arrays(ours(sequences, initial_state=states))
    assert not np.allclose(arrays(results[0])[0], plain[0])
