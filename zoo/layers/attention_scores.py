"""Attention to a memory: how well a query fits each key, and what is read from the memory for it; both ways.

Shapes: hidden `(batch, units)`, query `(batch, size)`, keys `(batch, source, size)`, memory `(batch, source,
features)`, scores and alignment `(batch, source)`.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import backend, ops

from zoo.backend import tanh
from zoo.layers.sequence_kernels import outer_product, project


class Score(NamedTuple):
    """A score e_j = e(query, key_j), for the time loop.

    Attributes:
        query: `(hidden, weights) -> query`.
        forward: `(query, keys, weights) -> scores`.
        backward: `(d_scores, query, keys, transposed, *sums) -> (d_hidden, d_query, *sums)`.
        gradients: `(d_scores, d_query, query, hidden, *sums) -> gradients` of the keys and of each weight, from tensors
            with a leading time axis.
        sums: `(keys, weights) -> zeros`, as in `sequence_kernels.Recurrence`.
    """

    query: Callable
    forward: Callable
    backward: Callable
    gradients: Callable
    sums: Callable


def _additive_query(hidden, weights):
    return ops.matmul(hidden, weights[0])


def _additive_forward(query, keys, weights):
    return ops.squeeze(project(tanh(keys + query[:, None]), weights[1]), -1)


def _additive_backward(d_scores, query, keys, transposed, d_keys, d_kernel):
    # tanh is computed once more: kept for every step it would take time x batch x source x size numbers.
    w, v = transposed
    fit = tanh(keys + query[:, None])
    d_fit = d_scores[:, :, None] * v * (1 - fit * fit)
    d_query = ops.sum(d_fit, axis=1)
    d_kernel = d_kernel + ops.cast(ops.sum(read(d_scores, fit), axis=0), d_kernel.dtype)
    return ops.matmul(d_query, w), d_query, d_keys + ops.cast(d_fit, d_keys.dtype), d_kernel


def _additive_gradients(d_scores, d_query, query, hidden, d_keys, d_kernel):
    dtype = d_query.dtype
    return ops.cast(d_keys, dtype), outer_product(hidden, d_query), ops.cast(ops.transpose(d_kernel), dtype)


def _additive_sums(keys, weights):
    dtype = at_least_single(keys.dtype)
    return ops.zeros_like(keys, dtype=dtype), ops.zeros(weights[1].shape[::-1], dtype=dtype)


def _dot_backward(d_scores, query, keys, transposed):
    d_query = read(d_scores, keys)
    return d_query, d_query


def _dot_gradients(d_scores, d_query, query, hidden):
    return (over_time(d_scores, query),)


# tanh(key_j + hidden W) v, with the weights W `(units, size)` and v `(size, 1)`
ADDITIVE = Score(_additive_query, _additive_forward, _additive_backward, _additive_gradients, _additive_sums)
# key_j . hidden
DOT = Score(
    query=lambda hidden, weights: hidden,
    forward=lambda query, keys, weights: match(query, keys),
    backward=_dot_backward,
    gradients=_dot_gradients,
    sums=lambda keys, weights: (),
)


def attend(score, hidden, memory, keys, weights, mask=None):
    """What a hidden state reads from the memory.

    Args:
        score: a `Score`.
        hidden, memory, keys: as above.
        weights: tuple of the score's weights.
        mask: boolean `(batch, source)` or None. Where it is False the alignment is zero; without a single True the
            context is zero.

    Returns:
        The alignment, the context `(batch, features)`, and the query.
    """
    query = score.query(hidden, weights)
    alignment = ops.cast(_softmax(score.forward(query, keys, weights), mask), memory.dtype)
    return alignment, read(alignment, memory), query


def attend_backward(score, d_context, d_alignment, alignment, query, memory, keys, transposed, *sums):
    """The gradients of the hidden state, the scores and the query, and the score's sums."""
    d_alignment = d_alignment + match(d_context, memory)
    dtype = at_least_single(d_alignment.dtype)
    weighted = ops.cast(alignment, dtype) * ops.cast(d_alignment, dtype)
    d_scores = weighted - ops.cast(alignment, dtype) * ops.sum(weighted, axis=-1, keepdims=True)
    d_scores = ops.cast(d_scores, memory.dtype)
    d_hidden, d_query, *sums = score.backward(d_scores, query, keys, transposed, *sums)
    return d_hidden, d_scores, d_query, *sums


def _softmax(scores, mask):
    scores = ops.cast(scores, at_least_single(scores.dtype))
    if mask is None:
        visible = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
    else:
        scores = ops.where(mask, scores, ops.full_like(scores, -1e30))
        visible = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * ops.cast(mask, scores.dtype)
    total = ops.sum(visible, axis=-1, keepdims=True)
    return visible / (total + ops.cast(total == 0, total.dtype))


def read(alignment, memory):
    """The sum of the memory, weighted: `(batch, source), (batch, source, m) -> (batch, m)`."""
    return ops.squeeze(ops.matmul(alignment[:, None], memory), 1)


def match(vector, memory):
    """The product with each place: `(batch, m), (batch, source, m) -> (batch, source)`."""
    return ops.squeeze(ops.matmul(vector[:, None], ops.transpose(memory, (0, 2, 1))), 1)


def over_time(weights, vectors):
    """Sum over time of the outer products: `(time, batch, source), (time, batch, m) -> (batch, source, m)`."""
    return ops.matmul(ops.transpose(weights, (1, 2, 0)), ops.transpose(vectors, (1, 0, 2)))


def at_least_single(dtype):
    """The type in which a softmax or a long sum is computed: float32 for half precision."""
    dtype = backend.standardize_dtype(dtype)
    return "float32" if dtype in ("float16", "bfloat16") else dtype
