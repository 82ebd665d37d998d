"""Labelled examples to train on: encoded once into a file, then read in batches of similar length."""

from typing import NamedTuple

import numpy as np

from zoo.distinct import distinct
from zoo.padding import padded_length

MANY = 4096  # texts, from which on it pays to compile more shapes in order to pad less


class Examples(NamedTuple):
    """Encoded texts and their labels.

    Attributes:
        tokens: int32 `(all tokens,)`, mapped from a file: memory does not grow with it.
        ends: int64 `(examples,)`, where each text ends in `tokens`.
        labels: int32 `(examples,)`, indices of `names`.
        names: the labels, sorted.
    """

    tokens: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    names: tuple

    def text(self, i):
        return self.tokens[self.ends[i - 1] if i else 0 : self.ends[i]]

    def lengths(self):
        return np.diff(self.ends, prepend=0)


def encode(rows, tokenizer, file, longest):
    """Encodes rows into a file, one text at a time.

    Args:
        rows: `zoo.rows.Row`s.
        tokenizer: from `zoo.tokenizers`.
        file: empty, open for writing bytes and reading them again.
        longest: tokens; of a longer text the first quarter and the last three of so many are kept.

    Returns:
        `Examples`.

    Raises:
        ValueError: there are no rows, or all have one label.
    """
    ends, labels, end = [], [], 0
    for row in rows:
        tokens = tokenizer.encode_document(row.text)
        if len(tokens) > longest:
            begin = longest // 4
            tokens = np.concatenate([tokens[:begin], tokens[len(tokens) - (longest - begin) :]])
        file.write(tokens.astype("<i4").tobytes())
        end += len(tokens)
        ends.append(end)
        labels.append(row.label)
    file.flush()
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise ValueError(f"There must be examples of two labels or more. Found: {len(ends)} rows, labels {names}.")
    indices = {name: i for i, name in enumerate(names)}
    tokens = np.memmap(file, "<i4", "r") if end else np.zeros(0, "<i4")
    return Examples(tokens, np.array(ends), np.array([indices[label] for label in labels], "int32"), names)


def stratified(labels, fraction, seed):
    """Indices of all but a fraction of the examples, and of that fraction, with every label in both where it can be.

    >>> rest, some = stratified(np.array([0] * 8 + [1] * 4), 0.25, seed=1)
    >>> len(rest), len(some), sorted(np.array([0] * 8 + [1] * 4)[some].tolist())
    (9, 3, [0, 0, 1])
    """
    random, rest, some = np.random.default_rng(seed), [], []
    for label in np.unique(labels):
        of_label = random.permutation(np.flatnonzero(labels == label))
        count = min(len(of_label) - 1, max(1, round(fraction * len(of_label))))
        some.append(of_label[:count])
        rest.append(of_label[count:])
    return np.sort(np.concatenate(rest)), np.sort(np.concatenate(some))


class Buckets:
    """Batches of examples of similar length, in a new random order in each epoch, the same for the same seed.

    Args:
        examples: `Examples`.
        indices: of those to use.
        tokens: about how many a batch has, padding included.
        seed: integer.
        weights: float `(labels,)`, of the examples of each label.

    Calling with an epoch gives a sequence of batches `(tokens, lengths, labels, weights)`: `zoo.distinct.Distinct` of
    `(rows, time)`, int32, int32 and float32 `(rows,)`. For one `time` there is one `rows`, so that few shapes are
    compiled; rows that are left over in the last batch of a shape weigh nothing.
    """

    unit = "texts"

    def __init__(self, examples, indices, tokens=16_384, seed=0, weights=None):
        self.examples, self.indices, self.seed = examples, np.asarray(indices), seed
        self.weights = np.ones(len(examples.names), "float32") if weights is None else np.float32(weights)
        lengths = examples.lengths()[self.indices]
        self.times = np.array([padded_length(n, fine=len(lengths) >= MANY) for n in lengths])
        self.rows = {int(time): max(1, min(256, tokens // int(time))) for time in np.unique(self.times)}
        self.count = sum(-(-int((self.times == time).sum()) // rows) for time, rows in self.rows.items())
        self.size = len(self.indices) / self.count

    def __len__(self):
        return self.count

    def __call__(self, epoch):
        random, batches = np.random.default_rng([self.seed, epoch]), []
        for time, rows in self.rows.items():
            of_time = random.permutation(self.indices[self.times == time])
            batches += [(time, rows, of_time[i : i + rows]) for i in range(0, len(of_time), rows)]
        return _Batches(self, [batches[i] for i in random.permutation(len(batches))])


class _Batches:
    def __init__(self, buckets, batches):
        self.buckets, self.batches = buckets, batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        time, rows, indices = self.batches[i]
        examples = self.buckets.examples
        tokens, lengths = np.zeros((rows, time), "int32"), np.zeros(rows, "int32")
        labels, weights = np.zeros(rows, "int32"), np.zeros(rows, "float32")
        for row, index in enumerate(indices):
            text = examples.text(index)
            tokens[row, : len(text)] = text
            lengths[row] = len(text)
        labels[: len(indices)] = examples.labels[indices]
        weights[: len(indices)] = self.buckets.weights[labels[: len(indices)]]
        return distinct(tokens), lengths, labels, weights
