"""Beam search: the likeliest sequences that a recurrent decoder can write, for a batch of sources in one loop.

A hypothesis y of n tokens, the end token included, that gave source position i the attention a[j, i] at its token j,
scores

    s(y) = log p(y | x) / lp(n) + cp,   lp(n) = ((5 + n) / 6) ** alpha,   cp = beta * sum_i log(min(sum_j a[j, i], 1))

(Wu et al. 2016, equation 14). The likeliest hypotheses go on; those that end among the first of the beam are kept
apart, the best scores first. A source is done when as many have ended as the beam is wide. A beam of one is greedy
search.
"""

from typing import NamedTuple

import numpy as np
from keras import ops, tree


class Hypothesis(NamedTuple):
    """What a decoder wrote.

    Attributes:
        tokens: int32 `(length,)`, without the end token.
        score: s(y).
        log_probability: log p(y | x), the end token included, in nats.
        alignment: float32 `(length, source)`, the attention at each token.
    """

    tokens: np.ndarray
    score: float
    log_probability: float
    alignment: np.ndarray


class Ended(NamedTuple):
    """The hypotheses that have ended, `(batch, width)` each, the best first; -inf where there is none."""

    score: object
    log_probability: object
    time: object  # of the end token
    parent: object  # which hypothesis it follows


def loop(step, state, source_mask, limits, longest, width, start, end, length_penalty, coverage_penalty):
    """The search itself, in tensors, to be compiled.

    Args:
        step: `(tokens, state) -> (logits, alignment, state)`, of `(batch * width,)`, `(batch * width, vocabulary)` and
            `(batch * width, source)`.
        state: nested tensors `(batch * width, ...)`, those of one source side by side.
        source_mask: boolean `(batch, source)`.
        limits: int32 `(batch,)`, tokens that a hypothesis has at most, the end token included.
        longest: int, at least as large as all limits.
        width: int, hypotheses of a source.
        start, end: int, tokens.
        length_penalty, coverage_penalty: alpha and beta, float.

    Returns:
        The `Ended`; and of each timestep and hypothesis the tokens `(longest, batch, width)`, which hypothesis of the
        timestep before they follow, and the alignments `(longest, batch, width, source)` of that one.
    """
    batch, source = source_mask.shape
    first = ops.arange(batch, dtype="int32")[:, None] * width

    def score(log_probability, length, coverage):
        covered = ops.where(source_mask[:, None], ops.log(ops.clip(coverage, 1e-30, 1.0)), 0.0)
        penalty = ((5.0 + ops.cast(length, "float32")) / 6.0) ** length_penalty
        return log_probability / penalty + coverage_penalty * ops.sum(covered, axis=-1)

    def unfinished(time, ended):
        return ops.logical_and(ops.any(ops.isinf(ended.score), axis=1), time < limits)

    def candidates(logits, alive, must_end):
        """The likeliest ways to go on, `(batch, 2 * width)`: which hypothesis, by which token, how likely.

        Of each hypothesis more than `2 * width` tokens are never wanted: the vocabulary is passed through twice, for
        these and for the sum of the softmax, and no log-softmax of it is made.
        """
        logits = ops.cast(logits, "float32")
        some = min(2 * width, logits.shape[-1])
        highest, token = ops.top_k(logits, some)
        last, only_end = ops.repeat(must_end, width)[:, None], ops.arange(some) == 0
        highest = ops.where(last, ops.where(only_end, logits[:, end : end + 1], -np.inf), highest)
        token = ops.where(last, end, ops.cast(token, "int32"))
        found = ops.reshape(alive, (-1, 1)) + highest - ops.logsumexp(logits, axis=-1, keepdims=True)
        best, index = ops.top_k(ops.reshape(found, (batch, width * some)), 2 * width)
        index = ops.cast(index, "int32")
        token = ops.take_along_axis(ops.reshape(token, (batch, width * some)), index, axis=1)
        return index // some, token, best

    def body(time, tokens, alive, coverage, state, ended, history):
        logits, alignment, state = step(tokens, state)
        parent, token, best = candidates(logits, alive, time + 1 >= limits)
        alignment = ops.reshape(ops.cast(alignment, "float32"), (batch, width, source))
        coverage = coverage + alignment

        ends = token == end
        accepted = ops.logical_and(ends, ops.arange(2 * width) < width)  # of lower ranks, greedy search takes none
        accepted = ops.logical_and(accepted, unfinished(time, ended)[:, None])
        scores = score(best, time + 1, ops.take_along_axis(coverage, parent[:, :, None], axis=1))
        scores = ops.where(ops.logical_and(accepted, best > -np.inf), scores, -np.inf)
        fresh = Ended(scores, best, ops.full_like(parent, 0) + time, parent)
        both = [ops.concatenate(pair, axis=1) for pair in zip(ended, fresh)]
        _, kept = ops.top_k(both[0], width)
        ended = Ended(*(ops.take_along_axis(values, kept, axis=1) for values in both))

        alive, kept = ops.top_k(ops.where(ends, -np.inf, best), width)
        parent, token = (ops.take_along_axis(values, kept, axis=1) for values in (parent, token))
        coverage = ops.take_along_axis(coverage, parent[:, :, None], axis=1)
        origin = ops.reshape(first + parent, (-1,))
        state = tree.map_structure(lambda leaf: ops.take(leaf, origin, axis=0), state)
        history = tuple(
            ops.slice_update(all_times, (time, *[0] * (len(all_times.shape) - 1)), values[None])
            for all_times, values in zip(history, (token, parent, alignment))
        )
        return time + 1, ops.reshape(token, (-1,)), alive, coverage, state, ended, history

    nothing = ops.zeros((batch, width), "int32")
    begin = (
        ops.zeros((), "int32"),
        ops.full((batch * width,), start, "int32"),
        ops.tile(ops.where(ops.arange(width) == 0, 0.0, -np.inf)[None], (batch, 1)),  # one hypothesis, at first
        ops.zeros((batch, width, source), "float32"),
        state,
        Ended(*[ops.full((batch, width), -np.inf, "float32")] * 2, nothing, nothing),
        (*[ops.zeros((longest, batch, width), "int32")] * 2, ops.zeros((longest, batch, width, source), "float32")),
    )
    *_, ended, history = ops.while_loop(lambda time, *rest: ops.any(unfinished(time, rest[-2])), body, begin)
    return ended, history


def hypotheses(ended, history, sources, n_best=1):
    """The results of `loop`, read off backwards.

    Args:
        ended, history: from `loop`.
        sources: int `(batch,)`, how long each source is.
        n_best: how many for each source, at most.

    Returns:
        For each source a list of `Hypothesis`, the best first.
    """
    ended = Ended(*map(ops.convert_to_numpy, ended))
    tokens, parents, alignments = map(ops.convert_to_numpy, history)
    found = []
    for row, source in enumerate(sources):
        kept = [i for i in range(min(n_best, ended.score.shape[1])) if ended.score[row, i] > -np.inf]
        found.append([])
        for i in kept:
            words, seen, hypothesis = [], [], ended.parent[row, i]
            for time in range(ended.time[row, i] - 1, -1, -1):
                words.append(tokens[time, row, hypothesis])
                hypothesis = parents[time, row, hypothesis]
                seen.append(alignments[time, row, hypothesis, :source])
            found[-1].append(
                Hypothesis(
                    np.array(words[::-1], "int32"),
                    float(ended.score[row, i]),
                    float(ended.log_probability[row, i]),
                    np.array(seen[::-1], "float32").reshape(-1, source),
                )
            )
    return found
