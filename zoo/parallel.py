"""Encoded pairs of sentences to train a translator on, in batches of similar length and about as many tokens."""

from typing import NamedTuple

import numpy as np

from zoo.padding import padded_length
from zoo.translation import SHORTEST

FINE = 24  # tokens, up to which every even length has a shape of its own


class Parallel(NamedTuple):
    """Encoded pairs.

    Attributes:
        source: list of int32 arrays, each with its end.
        target: list of int32 arrays, each with its start and its end.
    """

    source: list
    target: list

    @classmethod
    def of(cls, tokenizer, pairs, longest):
        """The pairs (`zoo.pairs.Pair`) that have at most `longest` tokens on either side."""
        encoded = ((tokenizer.encode_source(pair.source), tokenizer.encode_target(pair.target)) for pair in pairs)
        kept = [both for both in encoded if max(map(len, both)) <= longest]
        return cls([source for source, _ in kept], [target for _, target in kept])

    def __len__(self):
        return len(self.source)


class PairBuckets:
    """Batches of pairs of similar length, in a new random order in each epoch, the same for the same seed.

    Args:
        pairs: `Parallel`.
        tokens: about how many of the target a batch has, padding included.
        seed: integer.

    Calling with an epoch gives a sequence of batches `(source, source lengths, target, target lengths)`: int32 `(rows,
    time)`, `(rows,)`, `(rows, time + 1)`, `(rows,)`. For one `time` there is one `rows`, so that few shapes are
    compiled; rows that are left over in the last batch of a shape have no tokens.

    Example:

    >>> pair = Parallel([np.arange(5), np.arange(20)], [np.arange(4), np.arange(21)])
    >>> sorted(batch[0].shape for batch in PairBuckets(pair, tokens=8)(epoch=0))
    [(1, 8), (1, 20)]
    >>> [batch[0].shape for batch in PairBuckets(pair, tokens=60)(epoch=0)]
    [(3, 20)]
    """

    unit = "target tokens"

    def __init__(self, pairs, tokens=4096, seed=0):
        self.pairs, self.seed = pairs, seed
        longest = [max(len(source), len(target) - 1) for source, target in zip(*pairs)]
        self.times = np.array([_time(n) for n in longest])
        known = np.unique(self.times)
        for time, next_time in zip(known, known[1:]):  # less than a batch of one shape joins the next: less is compiled
            if (self.times == time).sum() < tokens // time:
                self.times[self.times == time] = next_time
        self.rows = {int(time): max(1, tokens // int(time)) for time in np.unique(self.times)}
        self.count = sum(-(-int((self.times == time).sum()) // rows) for time, rows in self.rows.items())
        self.size = sum(len(target) - 1 for target in pairs.target) / self.count

    def __len__(self):
        return self.count

    def __call__(self, epoch):
        random, batches = np.random.default_rng([self.seed, epoch]), []
        for time, rows in self.rows.items():
            of_time = random.permutation(np.flatnonzero(self.times == time))
            batches += [(time, rows, of_time[i : i + rows]) for i in range(0, len(of_time), rows)]
        return _Batches(self.pairs, [batches[i] for i in random.permutation(len(batches))])


def _time(longest):
    """Timesteps for so many tokens: hardly more where most sentences are, beyond that one of few lengths."""
    if longest <= FINE:
        return max(SHORTEST, longest + longest % 2)
    return padded_length(longest, fine=True, shortest=SHORTEST)


class _Batches:
    def __init__(self, pairs, batches):
        self.pairs, self.batches = pairs, batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        time, rows, indices = self.batches[i]
        return (
            *_padded([self.pairs.source[i] for i in indices], rows, time),
            *_padded([self.pairs.target[i] for i in indices], rows, time + 1),
        )


def _padded(sentences, rows, time):
    tokens, lengths = np.zeros((rows, time), "int32"), np.zeros(rows, "int32")
    for row, sentence in enumerate(sentences):
        tokens[row, : len(sentence)] = sentence
        lengths[row] = len(sentence)
    return tokens, lengths
