"""Training with a part of a large vocabulary (Bengio & Senecal 2003; Jean et al. 2015, section 3.2).

The sum over the vocabulary in the softmax is estimated from the target t and a few sampled tokens s:

    Z = exp(logit[t]) + sum over s != t of exp(logit[s] - log_q[s])

in which log_q is the logarithm of how often a token is expected among the samples. With many samples it is the softmax.
"""

import numpy as np
from keras import ops

from zoo.distinct import distinct

SMOOTHING = 0.75  # power of the frequencies (Mikolov et al. 2013), so that rare tokens are drawn, too


class Sampled:
    """Batches of `zoo.streams.Streams` with sampled tokens: `(inputs, targets, sampled, log_q)`.

    Args:
        streams: `Streams`.
        counts: how often each token occurs, `(vocabulary,)`.
        samples: how many tokens are drawn for a batch, with replacement.
        seed: integer.

    `inputs` are `zoo.distinct.Distinct`. `sampled` is int32 `(samples,)`; `log_q`, float32 `(vocabulary,)`, is the same
    in all batches: of each token the logarithm of how often it is expected among the samples.

    Example:

    >>> from zoo.streams import Streams
    >>> batches = Sampled(Streams(np.arange(200) % 10, batch_size=2, steps=5), np.full(10, 20), samples=4, seed=1)
    >>> [x.shape for x in batches(epoch=0)[0]]
    [(2, 5), (2, 5), (4,), (10,)]
    """

    def __init__(self, streams, counts, samples, seed=0):
        self.streams, self.samples, self.seed = streams, samples, seed
        self.unit, self.size = streams.unit, streams.size
        weights = (np.asarray(counts, "float64") + 1) ** SMOOTHING
        self.cumulative = np.cumsum(weights / weights.sum())
        self.log_q = np.log(samples * weights / weights.sum()).astype("float32")

    def __len__(self):
        return len(self.streams)

    def __call__(self, epoch):
        return _Batches(self, self.streams(epoch), epoch)


class _Batches:
    def __init__(self, sampled, batches, epoch):
        self.sampled, self.batches, self.epoch = sampled, batches, epoch

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        sampled = self.sampled
        uniform = np.random.default_rng([sampled.seed, self.epoch, i]).random(sampled.samples)
        tokens = np.searchsorted(sampled.cumulative[:-1], uniform, side="right").astype("int32")
        inputs, targets = self.batches[i]
        return distinct(inputs), targets, tokens, sampled.log_q


def sampled_loss(model, batch, state):
    """The mean loss in nats of a batch of `Sampled`, and the state; its gradient is nearly that of the full softmax.

    Args:
        model: a `zoo.models.LanguageModel`.
        batch: `(inputs, targets, sampled, log_q)`; the inputs may be plain tokens, too.
        state: of the model.
    """
    inputs, targets, sampled, log_q = batch
    hidden, state = model.encoder(inputs, state, training=True)  # (batch, time, units)
    if model.output_layer is None:
        table, bias = ops.convert_to_tensor(model.encoder.embedding.embeddings), None
    else:
        table, bias = ops.transpose(model.output_layer.kernel), ops.convert_to_tensor(model.output_layer.bias)
    hidden = ops.reshape(ops.cast(hidden, "float32"), (-1, hidden.shape[-1]))
    targets = ops.reshape(targets, (-1,))

    right = ops.sum(hidden * ops.take(table, targets, axis=0), axis=-1)
    others = ops.matmul(hidden, ops.transpose(ops.take(table, sampled, axis=0))) - ops.take(log_q, sampled)
    if bias is not None:
        right, others = right + ops.take(bias, targets), others + ops.take(bias, sampled)
    others = ops.where(sampled[None] == targets[:, None], -1e9, others)
    logits = ops.concatenate([right[:, None], others], axis=-1)
    return ops.mean(ops.logsumexp(logits, axis=-1) - right), state
