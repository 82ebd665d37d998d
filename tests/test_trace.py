import html.parser

import matplotlib.image
import numpy as np
import pytest

from zoo.tokenizers import ByteTokenizer
from zoo.trace import Trace

PIECES = ["\n ", "I ", "loved <it>", ", then", "\nnot & never again" * 9]
P = np.array([0.5, 0.5, 0.95, 0.6, 0.02])
SO_FAR = np.array([0.5, 0.5, 0.9, 0.8, 0.3])
TRACE = Trace(PIECES, np.stack([1 - SO_FAR, SO_FAR], axis=1), np.stack([1 - P, P], axis=1), ("negative", "positive"))


class Spans(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.inside = [], False

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "span" and "title" in dict(attributes)
        if self.inside:
            self.found.append([dict(attributes), ""])

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][1] += data


def test_scores():
    np.testing.assert_allclose(TRACE.scores, 2 * SO_FAR - 1)
    np.testing.assert_allclose(TRACE.moment_scores, 2 * P - 1)
    assert TRACE.legend == ("negative", "positive")
    opinions = np.array([[1 / 3, 1 / 3, 1 / 3], [0.1, 0.7, 0.2]])
    three = Trace(["a", "b"], opinions, opinions[::-1], ("x", "y", "z"))
    np.testing.assert_allclose(three.scores, [0, (0.7 - 1 / 3) / (2 / 3)], atol=1e-12)
    np.testing.assert_allclose(three.moment_scores, three.scores[::-1])
    assert three.legend == ("not y", "y")


def test_html_shows_the_text_and_nothing_of_it_is_markup(tmp_path):
    TRACE.to_html(tmp_path / "trace.html")
    parser = Spans()
    parser.feed((tmp_path / "trace.html").read_text("utf-8"))
    assert [text for _, text in parser.found] == PIECES
    moments, scores = zip(*(map(float, attributes["title"].split(", so far ")) for attributes, _ in parser.found))
    assert moments == pytest.approx(TRACE.moment_scores, abs=0.006)
    assert scores == pytest.approx(TRACE.scores, abs=0.006)
    colours = [attributes["style"].removeprefix("background:#") for attributes, _ in parser.found]
    red, green = (np.array([int(c[i : i + 2], 16) for c in colours]) for i in (0, 2))
    assert ((green > red) == (TRACE.moment_scores > 0.01))[[2, 3, 4]].all()
    assert (red > green)[4]


def test_print_has_every_line_coloured_and_reset():
    shown = str(TRACE)
    assert shown.count("\x1b[0m") == shown.count("\x1b[48;2;")
    plain = "".join(part.split("m", 1)[-1] for part in shown.split("\x1b["))
    assert plain.split("\n", 1)[1] == "".join(PIECES)


@pytest.mark.parametrize("trace", [
    TRACE, Trace([], np.zeros((0, 2)), np.zeros((0, 2)), ("a", "b")),
    Trace(["$x_1$ \x07"], np.array([[0.2, 0.8]]), np.array([[0.4, 0.6]]), ("a", "b")),
])  # fmt: skip
def test_plot(trace, tmp_path):
    trace.plot(tmp_path / "trace.png")
    image = matplotlib.image.imread(tmp_path / "trace.png")
    assert image.shape[1] == 1200 and image.shape[0] > 250
    str(trace)


def test_bytes_of_one_character_are_one_piece():
    tokens = ByteTokenizer().encode("aé日")
    trace = Trace.of(ByteTokenizer(), tokens, np.eye(6), np.eye(6)[::-1], tuple("abcdef"))
    assert trace.pieces == ["a", "é", "日"]
    np.testing.assert_array_equal(trace.probabilities, np.eye(6)[[0, 2, 5]])
    np.testing.assert_array_equal(trace.moments, np.eye(6)[[5, 3, 0]])
