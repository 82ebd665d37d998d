import numpy as np
import pytest
from numerics import DROPOUT, NUMPY_CASES, assert_equals_numpy, make


def simple_step(x, hidden, states, w, u, b):
    return (np.tanh(x @ w + hidden @ u + b),)


@pytest.mark.parametrize("flags, mask", NUMPY_CASES)
def test_equals_numpy(flags, mask):
    assert_equals_numpy(make("simple", **flags, **DROPOUT), simple_step, mask=mask)


def test_equals_numpy_without_bias():
    layer = make("simple", use_bias=False, **DROPOUT)
    assert_equals_numpy(layer, simple_step, [*layer.get_weights(), 0])
