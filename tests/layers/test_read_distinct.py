import itertools

import numpy as np
import pytest
from keras import ops
from numerics import BATCH, FEATURES, LAYERS, MASK, TIME, assert_close, example, make, normal

PLACES = np.random.default_rng(1).integers(0, 3, (BATCH, TIME))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("mask", [None, MASK])
def test_it_equals_the_layer_on_the_inputs_written_out(name, mask):
    layer, inputs = make(name), normal(3, FEATURES)
    _, states = example(layer)
    hidden, final = layer.read_distinct(inputs, PLACES, states, mask)
    expected, *expected_final = layer(inputs[PLACES], initial_state=states, mask=mask)
    assert_close(final, expected_final)
    visible = ops.cumsum(MASK, axis=1)[:, :, None] > 0 if mask is not None else True
    assert_close(ops.where(visible, hidden, 0.0), expected)


def test_recurrent_dropout_is_on_in_training_alone_and_new_in_each_call():
    layer, inputs = make("lstm", recurrent_dropout=0.5, seed=1), normal(3, FEATURES)
    _, states = example(layer)
    calm, again, *trained = (layer.read_distinct(inputs, PLACES, states, training=t)[0] for t in (0, 0, 1, 1))
    assert_close(calm, again)
    for one, other in itertools.combinations([calm, *trained], 2):
        assert np.abs(ops.convert_to_numpy(one - other)).max() > 1e-3
    fewer = [state[:2] for state in states]
    assert layer.read_distinct(inputs, PLACES[:2], fewer, training=True)[0].shape[0] == 2
