"""The course of a classifier's opinion over a text: in the terminal, as a picture, in a browser."""

import html
import io
import itertools
import warnings
from dataclasses import dataclass

import numpy as np

from zoo.atomic_files import atomic_write

# Red for the first label, white for neither, green for the second; the middle of ColorBrewer's RdYlGn, paled.
LOW, MIDDLE, HIGH = (np.array(c) for c in ((239, 138, 98), (247, 247, 247), (127, 191, 123)))
LINE = 80  # characters in a line of the picture
MOST_DRAWN = 4000  # characters in the picture


@dataclass(frozen=True)
class Trace:
    """What a classifier thinks after every piece of a text: of all it has read, and at that moment.

    The verdict on all of the text so far is what `classify` gives in the end. Where it pools over time it remembers
    what came first; the verdict of the moment, which takes the state after the piece for all there was, shows where
    the text turns.

    Attributes:
        pieces: list of str, which together are the text as the model reads it.
        probabilities: `(pieces, labels)`, of the text so far.
        moments: `(pieces, labels)`, probabilities of the moment.
        labels: the labels, str.

    `print` shows the moments in colours, `to_html` and `plot` write both to a file.

    Example:

    >>> trace = Trace(["So ", "dull"], np.array([[0.5, 0.5], [0.7, 0.3]]), np.array([[0.5, 0.5], [0.9, 0.1]]),
    ...     ("negative", "positive"))
    >>> trace.scores.round(1).tolist(), trace.moment_scores.round(1).tolist()
    ([0.0, -0.4], [0.0, -0.8])
    """

    pieces: list
    probabilities: np.ndarray
    moments: np.ndarray
    labels: tuple

    @classmethod
    def of(cls, tokenizer, tokens, probabilities, moments, labels):
        """The trace of the tokens of a text; tokens within a character are taken together."""
        decode = tokenizer.decoder()
        texts = [decode([token]) for token in tokens]
        if texts:
            texts[-1] += decode([], final=True)
        shown = [i for i, text in enumerate(texts) if text]
        return cls([texts[i] for i in shown], probabilities[shown], moments[shown], tuple(labels))

    @property
    def scores(self):
        """Of the text so far, from -1 to 1. With two labels, where between the first and the second; with more, how
        sure of the one that is the likeliest in the end: 0 is as sure as by chance, -1 not at all."""
        return self._scores(self.probabilities)

    @property
    def moment_scores(self):
        """As `scores`, but of the moment."""
        return self._scores(self.moments)

    def _scores(self, probabilities):
        if len(self.labels) == 2:
            return probabilities[:, 1] - probabilities[:, 0]
        p, chance = probabilities[:, self.label_index], 1 / len(self.labels)
        return np.where(p > chance, (p - chance) / (1 - chance), p / chance - 1)

    @property
    def label_index(self):
        return int(self.probabilities[-1].argmax()) if len(self.pieces) else 0

    @property
    def legend(self):
        if len(self.labels) == 2:
            return self.labels
        return f"not {self.labels[self.label_index]}", self.labels[self.label_index]

    def __str__(self):
        """The text on a coloured ground, for a terminal with 24-bit colours."""
        low, high = self.legend
        parts = [_coloured(low, LOW), " ", _coloured(high, HIGH), "\n"]
        parts += [
            "\n".join(_coloured(line, colour) if line else "" for line in _printable(piece).split("\n"))
            for piece, colour in zip(self.pieces, self._colours())
        ]
        return "".join(parts)

    def to_html(self, path):
        """Writes a page in which each piece has the colour of its moment, and tells both scores under the pointer."""
        low, high = (html.escape(label) for label in self.legend)
        spans = "".join(
            f'<span style="background:{_hex(colour)}" title="{moment:+.2f}, so far {score:+.2f}">'
            f"{html.escape(_printable(piece))}</span>"
            for piece, colour, moment, score in zip(self.pieces, self._colours(), self.moment_scores, self.scores)
        )
        page = (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Trace</title><style>\n'
            "body { font: 18px/1.7 Georgia, serif; max-width: 44em; margin: 3em auto; padding: 0 1em; color: #222; "
            "background: #fff }\n"
            "p { white-space: pre-wrap; overflow-wrap: anywhere }\nsmall span { padding: 0.1em 0.6em }\n"
            "</style></head><body>\n"
            f'<small><span style="background:{_hex(LOW)}">{low}</span> '
            f'<span style="background:{_hex(HIGH)}">{high}</span></small>\n<p>{spans}</p>\n</body></html>\n'
        )
        atomic_write(path, page.encode("utf-8", "replace"))

    def plot(self, path):
        """Writes a PNG: the scores, and below them the first 4,000 characters, each in the colour of its moment."""
        from matplotlib.figure import Figure

        cells = (
            (character, colour)
            for piece, colour in zip(self.pieces, self._colours())
            for character in _printable(piece)
        )
        lines = _wrapped(list(itertools.islice(cells, MOST_DRAWN)))
        height = 0.24 * len(lines) + 2.6
        figure = Figure(figsize=(10, height), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(2, 0.24 * len(lines) + 0.2))
        ends = np.cumsum([len(piece) for piece in self.pieces])
        above.plot(ends, self.moment_scores, color="#aaa", linewidth=1, label="at the moment")
        above.plot(ends, self.scores, color="#222", linewidth=1.4, label="so far")
        above.legend(loc="lower left", fontsize=8, frameon=False, ncols=2)
        above.axhline(0, color="#bbb", linewidth=0.8)
        above.set(ylim=(-1.05, 1.05), xlim=(0, max([1, *ends[-1:]])), xlabel="characters read")
        above.set_yticks([-1, 0, 1], [self.legend[0], "", self.legend[1]])
        below.set(xlim=(0, LINE), ylim=(max(1, len(lines)), 0))
        below.axis("off")
        for row, line in enumerate(lines):
            for column, (character, colour) in enumerate(line):
                below.add_patch(_square(column, row, colour))
                below.text(column + 0.5, row + 0.55, character, ha="center", va="center", family="monospace",
                           fontsize=10, parse_math=False)  # fmt: skip
        image = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks is drawn as a box
            figure.savefig(image, format="png", dpi=120)
        atomic_write(path, image.getvalue())

    def _colours(self):
        for score in self.moment_scores:
            end = HIGH if score > 0 else LOW
            yield MIDDLE + abs(score) * (end - MIDDLE)


def _square(column, row, colour):
    from matplotlib.patches import Rectangle

    return Rectangle((column, row), 1, 1, facecolor=_hex(colour), linewidth=0)


def _wrapped(cells):
    """Lines of at most LINE characters, broken at spaces where there are any, which are left out."""
    lines, line = [], []
    for cell in cells:
        if cell[0] == "\n":
            lines, line = [*lines, line], []
            continue
        line.append(cell)
        if len(line) > LINE:
            at = max((i for i, (c, _) in enumerate(line) if c == " "), default=LINE - 1) + 1
            lines, line = [*lines, line[:at][:LINE]], line[at:]
    lines = [line[:-1] if line and line[-1][0] == " " else line for line in (*lines, line)]
    return [line for line in lines if line]


def _printable(text):
    return "".join(c if c == "\n" or c.isprintable() else " " for c in text)


def _coloured(text, colour):
    red, green, blue = (round(c) for c in colour)
    return f"\x1b[48;2;{red};{green};{blue}m\x1b[38;2;30;30;30m{text}\x1b[0m"


def _hex(colour):
    return "#" + "".join(f"{round(c):02x}" for c in colour)
