"""Beam search against all sequences that there are, on a decoder small enough to write them down."""

import itertools

import numpy as np
import pytest
from keras import ops

from zoo import beam_search
from zoo.backend import compiled

START, END, VOCABULARY, SOURCE, LIMITS = 0, 1, 4, (3, 2), (4, 3)
WIDEST = 40  # enough for every sequence


@pytest.fixture(scope="module")
def decoder():
    """Logits by source and the last two tokens, alignments by source and last token."""
    random = np.random.default_rng(0)
    logits = 1.5 * random.normal(size=(len(SOURCE), VOCABULARY, VOCABULARY, VOCABULARY)).astype("float32")
    alignments = random.random((len(SOURCE), VOCABULARY, max(SOURCE))).astype("float32")
    alignments *= np.arange(max(SOURCE)) < np.array(SOURCE)[:, None, None]
    return logits, alignments / alignments.sum(-1, keepdims=True)


def search(decoder, width, length_penalty=0.0, coverage_penalty=0.0, n_best=1, limits=LIMITS):
    logits, alignments = decoder

    def step(tokens, state):
        before, row = state
        at = row * VOCABULARY + tokens
        seen = ops.take(alignments.reshape(-1, max(SOURCE)), at, axis=0)
        after = (row * VOCABULARY + before) * VOCABULARY + tokens
        return ops.take(logits.reshape(-1, VOCABULARY), after, axis=0), seen, (tokens, row)

    def run(limits):
        rows = ops.convert_to_tensor(np.repeat(np.arange(len(SOURCE)), width).astype("int32"))
        mask = ops.convert_to_tensor(np.arange(max(SOURCE)) < np.array(SOURCE)[:, None])
        state = ops.zeros_like(rows), rows
        return beam_search.loop(
            step, state, mask, limits, max(LIMITS), width, START, END, length_penalty, coverage_penalty
        )

    ended, history = compiled(run, [])(np.array(limits, "int32"))
    return beam_search.hypotheses(ended, history, SOURCE, n_best)


def all_sequences(decoder, row, length_penalty=0.0, coverage_penalty=0.0):
    """`(score, tokens, log probability)` of every sequence within the limit, the best first."""
    logits, alignments = (array[row].astype("float64") for array in decoder)
    found = []
    for length in range(LIMITS[row]):
        for tokens in itertools.product([t for t in range(VOCABULARY) if t != END], repeat=length):
            before, last, total, coverage = 0, START, 0.0, 0.0
            for token in (*tokens, END):
                z = logits[before, last]
                total += z[token] - np.log(np.exp(z).sum())
                coverage = coverage + alignments[last]
                before, last = last, token
            covered = np.log(np.minimum(coverage[: SOURCE[row]], 1)).sum()
            score = total / ((5 + length + 1) / 6) ** length_penalty + coverage_penalty * covered
            found.append((score, list(tokens), total))
    return sorted(found, key=lambda entry: -entry[0])


@pytest.mark.parametrize("penalties", [(0.0, 0.0), (0.6, 0.0), (1.0, 0.3)])
def test_a_wide_beam_finds_the_best_of_all(decoder, penalties):
    for row, hypotheses in enumerate(search(decoder, WIDEST, *penalties, n_best=6)):
        expected = all_sequences(decoder, row, *penalties)[:6]
        assert [h.tokens.tolist() for h in hypotheses] == [tokens for _, tokens, _ in expected]
        np.testing.assert_allclose([h.score for h in hypotheses], [score for score, _, _ in expected], rtol=1e-4)
        np.testing.assert_allclose([h.log_probability for h in hypotheses], [t for *_, t in expected], rtol=1e-4)


def greedy(decoder, row):
    logits, alignments = (array[row] for array in decoder)
    before, last, tokens, seen = 0, START, [], []
    while len(tokens) < LIMITS[row] - 1:
        token = int(logits[before, last].argmax())
        if token == END:
            break
        seen.append(alignments[last, : SOURCE[row]])
        before, last = last, token
        tokens.append(token)
    return tokens, seen


@pytest.mark.parametrize("penalties", [(0.0, 0.0), (1.0, 0.3)])
def test_a_beam_of_one_is_greedy_and_tells_where_it_looked(decoder, penalties):
    for row, (hypothesis,) in enumerate(search(decoder, 1, *penalties)):
        tokens, seen = greedy(decoder, row)
        assert hypothesis.tokens.tolist() == tokens
        np.testing.assert_allclose(hypothesis.alignment, np.reshape(seen, (-1, SOURCE[row])), rtol=1e-6)


def test_every_width_ends_within_the_limit_and_wider_is_never_worse_here(decoder):
    best = []
    for width in (1, 2, 3, WIDEST):
        found = search(decoder, width, n_best=width)
        for limit, hypotheses in zip(LIMITS, found):
            assert 1 <= len(hypotheses) <= width
            assert all(len(h.tokens) < limit for h in hypotheses)
            assert sorted((h.score for h in hypotheses), reverse=True) == [h.score for h in hypotheses]
            assert len({tuple(h.tokens.tolist()) for h in hypotheses}) == len(hypotheses)
        best.append([hypotheses[0].score for hypotheses in found])
    assert (np.diff(best, axis=0) >= -1e-6).all()


def test_a_source_does_not_depend_on_its_neighbour(decoder):
    alone = search(decoder, 3, limits=(LIMITS[0], 1))
    together = search(decoder, 3)
    assert alone[0][0].tokens.tolist() == together[0][0].tokens.tolist()
    assert alone[1][0].tokens.tolist() == []


def test_it_is_deterministic(decoder):
    first, second = (search(decoder, 3, 0.6, 0.2, n_best=3) for _ in range(2))
    for one, other in zip(first, second):
        assert [(h.tokens.tolist(), h.score) for h in one] == [(h.tokens.tolist(), h.score) for h in other]
