"""Choosing the next token from logits."""

import numbers

from keras import ops

NAMES = {numbers.Real: "a number", numbers.Integral: "an int"}


def sample(logits, uniform, temperature, top_k=None, top_p=None):
    """Draws one token a row, by inverting the cumulative distribution at `uniform`.

    The random numbers come from outside, so the same ones give the same tokens on every backend and in loops of
    every length.

    Args:
        logits: `(batch, vocabulary)`, float.
        uniform: `(batch,)`, floats in [0, 1).
        temperature: positive scalar; below one sharper, above one flatter.
        top_k: scalar integer or None: only the k likeliest tokens may be drawn, and those as likely as the k-th (Fan
            et al. 2018).
        top_p: scalar in (0, 1] or None: only the smallest set of likeliest tokens whose probabilities add up to p
            may be drawn (nucleus sampling, Holtzman et al. 2020).

    Returns:
        int32 `(batch,)`.
    """
    logits = ops.cast(logits, "float32")
    logits = logits - ops.max(logits, axis=-1, keepdims=True)  # else the division rounds a low temperature's to NaN
    probabilities = ops.softmax(logits / ops.maximum(temperature, 1e-30), axis=-1)
    if top_k is not None or top_p is not None:
        probabilities = ops.where(_among_likeliest(probabilities, top_k, top_p), probabilities, 0.0)
    cumulative = ops.cumsum(probabilities, axis=-1)
    # XLA adds up in parallel: by rounding, the sum may grow where the probability is zero, or end below its maximum.
    reached = (cumulative > (uniform * cumulative[:, -1])[:, None]) & (probabilities > 0)
    return ops.cast(ops.argmax(ops.where(reached, 2.0, probabilities), axis=-1), "int32")


def _among_likeliest(probabilities, top_k, top_p):
    descending = -ops.sort(-probabilities, axis=-1)
    least = ops.zeros_like(descending[:, :1])
    if top_k is not None:
        least = ops.maximum(least, ops.take(descending, ops.reshape(top_k, (1,)) - 1, axis=-1))
    if top_p is not None:
        before = ops.cumsum(descending, axis=-1) - descending  # probability of all likelier tokens
        kept = ops.where(before < top_p, descending, 1.0)
        least = ops.maximum(least, ops.min(kept, axis=-1, keepdims=True))
    return probabilities >= ops.minimum(least, descending[:, :1])


def check_sampling(temperature, top_k, top_p, vocabulary_size):
    """Raises a ValueError or TypeError that names the argument with which sampling is not possible."""
    for name, value, kind in (
        ("temperature", temperature, numbers.Real),
        ("top_k", 1 if top_k is None else top_k, numbers.Integral),
        ("top_p", 1 if top_p is None else top_p, numbers.Real),
    ):
        if isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError(f"`{name}` must be {NAMES[kind]}. Received: {name}={value!r}")
    if not 0 <= temperature < float("inf"):  # NaN fails too
        raise ValueError(
            f"`temperature` must be 0 (always the likeliest token) or a positive number. "
            f"Received: temperature={temperature}"
        )
    if top_k is not None and not 1 <= top_k <= vocabulary_size:
        raise ValueError(f"`top_k` must be from 1 to the vocabulary's {vocabulary_size}. Received: top_k={top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be above 0 and at most 1. Received: top_p={top_p}")
