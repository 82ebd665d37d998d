import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.examples import Buckets, encode, stratified
from zoo.rows import rows
from zoo.tokenizers import ByteTokenizer

TEXTS = [("word " * n)[: 3 * n] for n in range(100)]
LABELS = ["abc"[i % 3] for i in range(100)]


@pytest.fixture
def known(tmp_path):
    with (tmp_path / "tokens").open("w+b") as file:
        return encode(rows((TEXTS, LABELS)), ByteTokenizer(), file, longest=1000)


def test_encode(known):
    assert known.names == ("a", "b", "c")
    for i in (0, 1, 50, 99):
        assert bytes(known.text(i).astype("uint8")).decode() == TEXTS[i]
        assert known.names[known.labels[i]] == LABELS[i]
    assert known.lengths().tolist() == [len(text) for text in TEXTS]


def test_of_a_long_text_the_beginning_and_the_end_are_kept(tmp_path):
    text = "".join(chr(ord("a") + i % 26) for i in range(1000))
    with (tmp_path / "tokens").open("w+b") as file:
        known = encode(rows((["x", text], ["0", "1"])), ByteTokenizer(), file, longest=40)
    assert bytes(known.text(1).astype("uint8")).decode() == text[:10] + text[-30:]


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_one_label_is_none(labels):
    with pytest.raises(ValueError, match="two labels or more"):
        encode(rows((["x"] * len(labels), labels)), ByteTokenizer(), io.BytesIO(), longest=9)


@given(st.lists(st.integers(0, 4), min_size=2), st.floats(0.01, 0.99), st.integers(0, 9))
def test_stratified(labels, fraction, seed):
    labels = np.array(labels)
    rest, some = stratified(labels, fraction, seed)
    assert sorted([*rest, *some]) == list(range(len(labels)))
    for label in set(labels.tolist()):
        count, held = (labels == label).sum(), (labels[some] == label).sum()
        assert held < count
        assert held >= (count > 1)
        assert abs(held - fraction * count) <= 1
    again = stratified(labels, fraction, seed)
    assert np.array_equal(rest, again[0]) and np.array_equal(some, again[1])


def test_every_example_is_in_one_batch_of_an_epoch(known):
    buckets = Buckets(known, np.arange(5, 100), tokens=256, seed=1)
    epochs = []
    for epoch in range(2):
        batches = buckets(epoch)
        assert len(batches) == len(buckets)
        shapes = {batches[i][0].shape for i in range(len(batches))}
        seen = texts_of(batches)
        assert len({time for _, time in shapes}) == len(shapes)
        assert all(rows * time <= 512 for rows, time in shapes)
        assert sorted(seen) == sorted(TEXTS[5:])
        epochs.append(seen)
    assert epochs[0] != epochs[1]
    assert texts_of(buckets(0)) == epochs[0]


def texts_of(batches):
    """The texts that count, with what belongs to them checked on the way."""
    found = []
    for i in range(len(batches)):
        tokens, *others = batches[i]
        for row, length, label, weight in zip(tokens.tokens[tokens.places], *others):
            assert not row[length:].any()
            if weight:
                found.append(bytes(row[:length].astype("uint8")).decode())
                assert "abc"[label] == LABELS[TEXTS.index(found[-1])]
    return found


def test_weights_of_labels(known):
    buckets = Buckets(known, np.arange(100), weights=[2.0, 0.5, 7.0][: len(known.names)])
    batches = buckets(0)
    for i in range(len(batches)):
        _, _, labels, weights = batches[i]
        assert set(weights[labels == 1].tolist()) <= {0.5}
        assert set(weights[labels == 0].tolist()) <= {2.0, 0.0}  # 0: rows left over
