import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from keras import ops

from zoo.distinct import distinct


@given(arrays("int32", array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 99)))
def test_distinct_tokens_are_the_tokens(tokens):
    found = distinct(tokens)
    assert found.shape == tokens.shape
    np.testing.assert_array_equal(ops.convert_to_numpy(found.plain()), tokens)
    count = len(set(tokens.flatten().tolist()))
    assert found.places.max() == count - 1
    assert len(set(found.tokens[:count].tolist())) == count
