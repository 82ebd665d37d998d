"""Translating: a model that has learnt something, sentences of every kind, arguments good and bad."""

import re

import numpy as np
import pytest

import zoo
from tests.odd_texts import ODD
from tests.reversing import examples, trained
from zoo.translation import LONGEST, Translation, cut

SURROGATES = re.compile("[\ud800-\udfff]")


@pytest.fixture(scope="module")
def model():
    return trained()


def test_it_has_learnt(model):
    found = examples(50, seed=3)
    right = [model.translate(pair.source) == pair.target for pair in found[:5]]
    together = [text == pair.target for text, pair in zip(model.translate([pair.source for pair in found]), found)]
    assert right == together[:5]
    assert np.mean(together) > 0.8


def test_the_alignment_tells_where_it_looked(model):
    result = model.translate("abc def", return_alignments=True)
    assert result.text == "fed cba"
    assert result.source_pieces == tuple("abc def") and result.target_pieces == tuple("fed cba")
    assert result.alignment.shape == (7, 7)
    assert (result.alignment.sum(axis=1) <= 1 + 1e-5).all()
    assert np.mean(result.alignment.argmax(axis=1) == np.arange(7)[::-1]) > 0.7
    source, target, words = result.words()
    assert (source, target) == (["abc", "def"], ["fed", "cba"])
    assert words.argmax(axis=1).tolist() == [1, 0]


def test_n_best(model):
    result = model.translate(["abc de", "f"], beam_width=4, n_best=3)
    for one in result:
        assert isinstance(one, Translation)
        assert one.n_best[0].text == one.text
        assert len({other.text for other in one.n_best}) == len(one.n_best) == 3
        assert [other.score for other in one.n_best] == sorted((o.score for o in one.n_best), reverse=True)
        for other in one.n_best:  # length penalty 0.6, the end included
            length = len(other.text) + 1
            np.testing.assert_allclose(other.score, other.log_probability / ((5 + length) / 6) ** 0.6, rtol=1e-4)


def test_log_probability_is_the_models(model):
    result = model.translate("abc de", n_best=2)
    tokenizer = model.tokenizer
    for one in result.n_best:
        source = tokenizer.encode_source("abc de")[None]
        target = tokenizer.encode_target(one.text)[None]
        logits = np.asarray(model(source, target[:, :-1]))[0].astype("float64")
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = np.take_along_axis(log_p, target[0, 1:, None], axis=1).sum()
        np.testing.assert_allclose(one.log_probability, expected, rtol=1e-3, atol=1e-4)


def test_greedy(model):
    """A beam of one takes the likeliest token each time."""
    tokenizer, text = model.tokenizer, "fab ce"
    memory, states = model.encode(tokenizer.encode_source(text)[None])
    keys, token, written = model.project_keys(memory), tokenizer.start_id, []
    while token != tokenizer.end_id and len(written) < 30:
        logits, _, states = model.step(np.array([token], "int32"), states, memory, keys)
        token = int(np.asarray(logits)[0].argmax())
        written.append(token)
    assert model.translate(text, beam_width=1) == tokenizer.target.decode(written[:-1])


def test_neighbours_have_no_influence(model):
    texts = ["a", "abc def fed", "cab"]
    assert model.translate(texts) == [model.translate(text) for text in texts]
    assert model.translate(texts, batch_size=1) == model.translate(texts, batch_size=2)


def test_odd_texts(model):
    """A str for every text, one line each, and an alignment of all that was read."""
    texts = [*ODD.values(), "word " * 1000]
    results = model.translate(texts, beam_width=2, return_alignments=True)
    for text, result in zip(texts, results):
        assert isinstance(result.text, str) and len(result.text.splitlines()) == bool(result.text)
        assert result.alignment.shape == (len(result.target_pieces), len(result.source_pieces))
        read = "".join(result.source_pieces)
        words = SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text).split()
        assert bool(words) >= bool(result.text)
        assert read.replace(" ", "") == "".join(words)
        assert read.split() == words or max(len(word.encode()) for word in words) >= LONGEST  # cut within it


def test_pieces(model):
    tokenizer = model.tokenizer
    text = "One sentence here. " * 20 + "And, then, " * 20 + "x" * 300
    pieces = cut(tokenizer, text)
    assert max(map(len, pieces)) <= LONGEST
    texts = [tokenizer.source.decode(piece[:-1]) for piece in pieces]
    assert "".join(texts).replace(" ", "") == text.replace(" ", "")
    assert texts[0].endswith("here.")
    assert any(one.endswith("then,") for one in texts)
    assert cut(tokenizer, "") == []


def test_sentences_are_translated_by_themselves(model):
    sentences = ["abc def fed abc abc.", "fed abc cab bed fad.", "cab cab cab cab dab."]
    assert [len(cut(model.tokenizer, " ".join(sentences[:n]))) for n in (1, 2, 3)] == [1, 1, 2]
    apart = [model.translate(" ".join(part)) for part in (sentences[:2], sentences[2:])]
    assert model.translate(" ".join(sentences)) == " ".join(apart)


def test_progress(model):
    seen = []
    model.translate(["a", "b", "c"], batch_size=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]
    assert model.translate([]) == []


def test_picture(model, tmp_path):
    for text in ("abc $x$ de", "", "中文"):
        model.translate(text, return_alignments=True).plot_alignment(tmp_path / "alignment.png")
        assert (tmp_path / "alignment.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"beam_width": 0}, "`beam_width` must be an int of at least 1. Received: beam_width=0"),
        ({"beam_width": 2.0}, "`beam_width` must be an int"),
        ({"beam_width": 101}, "`beam_width` can be at most 100"),
        ({"beam_width": 2, "n_best": 3}, "`n_best` can be at most `beam_width`"),
        ({"n_best": 0}, "`n_best` must be an int of at least 1"),
        ({"length_penalty": -0.1}, "`length_penalty` must be a finite number of at least 0"),
        ({"coverage_penalty": float("nan")}, "`coverage_penalty` must be a finite number"),
        ({"batch_size": 0}, "`batch_size` must be"),
    ],
)
def test_bad_arguments(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.translate("abc", **options)


def test_bad_texts(model):
    with pytest.raises(TypeError, match="`text` must be a str, or a list of them"):
        model.translate(["abc", None])


def test_scores(model):
    from zoo.translation_scores import evaluate_translations

    found = examples(20, seed=4)
    figures = evaluate_translations(model, found, beam_width=2)
    assert 50 < figures["bleu"] < 100.001 and 50 < figures["chrf"] < 100.001
    assert figures["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert figures["sentences"] == 20
    perfect = [zoo.pairs.Pair(pair.line, pair.source, model.translate(pair.source, beam_width=2)) for pair in found]
    np.testing.assert_allclose(evaluate_translations(model, perfect, beam_width=2)["chrf"], 100)
