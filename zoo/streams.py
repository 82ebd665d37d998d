"""Batches for truncated back-propagation through time: contiguous streams, so that the state can be carried."""

import numpy as np


class Streams:
    """Cuts a sequence of tokens into parallel streams and these into batches.

    Row i of every batch goes on where row i of the batch before ended. Each pass through the tokens begins at another
    offset, the same for the same seed.

    Args:
        tokens: int array `(tokens,)`.
        batch_size: how many streams.
        steps: timesteps of a batch.
        seed: integer.
        unit: what a token is called in the log.
        parts: an epoch reads one of so many parts of every stream, the next the next one: more epochs, so more
            validations, for one pass through a large corpus.

    Calling with an epoch gives a sequence of batches `(inputs, targets)`, int32 `(batch_size, steps)` each, the
    targets one token ahead.

    Raises:
        ValueError: the tokens do not fill one batch.

    Example:

    >>> inputs, targets = zoo.streams.Streams(np.arange(100), batch_size=2, steps=5, seed=1)(epoch=0)[0]
    >>> (targets - inputs).tolist(), (inputs[1] - inputs[0]).tolist()
    ([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]], [50, 50, 50, 50, 50])
    """

    def __init__(self, tokens, batch_size, steps, seed=0, unit="tokens", parts=1):
        needed = batch_size * ((parts + 1) * steps + 1)
        if len(tokens) < needed:
            raise ValueError(
                f"The corpus has {len(tokens):,} {unit}; {batch_size} streams of windows of {steps} need at least "
                f"{needed:,}. Use a longer text, or a smaller batch size or fewer steps."
            )
        length = len(tokens) // batch_size
        self.streams = np.reshape(tokens[: batch_size * length], (batch_size, length))
        self.steps, self.seed, self.unit, self.parts = steps, seed, unit, parts
        self.size = batch_size * steps

    def __call__(self, epoch):
        whole, part = divmod(epoch, self.parts)
        offset = int(np.random.default_rng([self.seed, whole]).integers(self.steps)) + part * len(self) * self.steps
        return _Batches(self.streams[:, offset:], self.steps, len(self))

    def __len__(self):
        """Batches in every epoch."""
        return ((self.streams.shape[1] - 1) // self.steps - 1) // self.parts


class _Batches:
    def __init__(self, streams, steps, count):
        self.streams, self.steps, self.count = streams, steps, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        window = self.streams[:, i * self.steps : (i + 1) * self.steps + 1].astype("int32")
        return window[:, :-1], window[:, 1:]
