"""Batches of pairs: every pair once, in few shapes, in an order that the seed tells."""

import numpy as np

import zoo
from zoo.pairs import pairs
from zoo.parallel import PairBuckets, Parallel


def example(count=200):
    random = np.random.default_rng(0)
    source = [random.integers(1, 99, random.integers(1, 40)).astype("int32") for _ in range(count)]
    target = [random.integers(1, 99, random.integers(2, 40)).astype("int32") for _ in range(count)]
    return Parallel(source, target)


def unpadded(batches):
    for source, source_lengths, target, target_lengths in (batches[i] for i in range(len(batches))):
        assert target.shape == (source.shape[0], source.shape[1] + 1)
        for row, (n, m) in enumerate(zip(source_lengths, target_lengths)):
            assert not source[row, n:].any() and not target[row, m:].any()
            if n:
                yield source[row, :n].tolist(), target[row, :m].tolist()


def test_every_pair_once_in_each_epoch():
    found = example()
    buckets = PairBuckets(found, tokens=128, seed=3)
    expected = sorted((s.tolist(), t.tolist()) for s, t in zip(*found))
    epochs = [list(unpadded(buckets(epoch))) for epoch in (0, 1, 0)]
    assert all(sorted(epoch) == expected for epoch in epochs)
    assert epochs[0] == epochs[2] != epochs[1]
    assert len(buckets(0)) == len(buckets)
    np.testing.assert_allclose(buckets.size * len(buckets), sum(len(t) - 1 for t in found.target))


def test_few_shapes_of_about_as_many_tokens():
    batches = PairBuckets(example(), tokens=128)(0)
    shapes = {batches[i][0].shape for i in range(len(batches))}
    assert {time for _, time in shapes} <= {*range(8, 25, 2), 32, 48}
    assert all(rows == 128 // time for rows, time in shapes)


def test_long_pairs_are_left_out():
    tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    found = Parallel.of(tokenizer, pairs(["a", "a" * 9, "a"], ["b", "b", "b" * 8]), longest=9)
    assert [x.tolist() for x in found.source] == [[97, 255]]
    assert [x.tolist() for x in found.target] == [[254, 98, 255]]
