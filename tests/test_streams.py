import numpy as np
import pytest

from zoo.streams import Streams

TOKENS = np.random.default_rng(0).integers(0, 99, 1000)


@pytest.mark.parametrize("batch_size, steps", [(1, 1), (3, 7), (4, 100), (10, 49)])
def test_rows_go_on_where_they_ended_and_targets_are_one_ahead(batch_size, steps):
    streams = Streams(TOKENS, batch_size, steps, seed=2)
    length = len(TOKENS) // batch_size
    for epoch in range(5):
        batches = streams(epoch)
        assert len(batches) == len(streams) >= 1
        inputs, targets = (
            np.concatenate([b[i] for b in map(batches.__getitem__, range(len(batches)))], 1) for i in (0, 1)
        )
        assert inputs.shape == targets.shape == (batch_size, len(streams) * steps)
        offset = offset_of(inputs[0])
        for row in range(batch_size):
            begin = row * length + offset
            np.testing.assert_array_equal(inputs[row], TOKENS[begin : begin + inputs.shape[1]])
            np.testing.assert_array_equal(targets[row], TOKENS[begin + 1 : begin + 1 + inputs.shape[1]])
        assert offset < steps
        assert begin + inputs.shape[1] < (row + 1) * length  # the last target too is the row's own


def offset_of(row):
    return next(i for i in range(len(TOKENS)) if np.array_equal(TOKENS[i : i + len(row)], row))


def test_little_is_left_out():
    streams = Streams(TOKENS, batch_size=3, steps=7)
    assert len(TOKENS) - len(streams) * streams.size < 3 * (2 * 7 + 2)


def test_batches_are_int32_of_the_stated_size():
    streams = Streams(TOKENS, batch_size=3, steps=7)
    inputs, targets = streams(0)[0]
    assert inputs.dtype == targets.dtype == np.int32
    assert streams.size == inputs.size == 21


def test_epochs_begin_at_offsets_that_depend_on_seed_and_epoch_alone():
    def beginnings(seed):
        streams = Streams(TOKENS, batch_size=2, steps=50, seed=seed)
        return [offset_of(streams(epoch)[0][0][0]) for epoch in range(20)]

    assert beginnings(1) == beginnings(1) != beginnings(2)
    assert len(set(beginnings(1))) > 10
    streams = Streams(TOKENS, batch_size=2, steps=50, seed=1)
    streams(7), streams(3)  # whatever was asked for before
    assert [offset_of(streams(epoch)[0][0][0]) for epoch in (5, 4)] == [beginnings(1)[5], beginnings(1)[4]]


def test_too_short_says_what_is_needed():
    assert len(Streams(TOKENS[:22], batch_size=2, steps=5)) == 1
    with pytest.raises(ValueError, match="The corpus has 21 letters; 2 streams of windows of 5 need at least 22"):
        Streams(TOKENS[:21], batch_size=2, steps=5, unit="letters")
