"""Translating texts with a trained translator: pieces of a sentence's length, side by side, by beam search."""

import functools
import io
import numbers
import re
import warnings
from dataclasses import dataclass, field

import numpy as np
from keras import ops, tree

from zoo import beam_search, reading
from zoo.atomic_files import atomic_write
from zoo.backend import compiled
from zoo.padding import padded_length
from zoo.tokenizer_pair import normalized

LONGEST = 128  # tokens of a piece
SENTENCES = 48  # tokens of a piece of several sentences: the models have read single ones
WIDEST = 100  # beam
MOST_CHARACTERS = 16 * LONGEST
SHORTEST = 8
ENDS = (
    re.compile(r"[.!?][\"')\]»“”]* "),
    re.compile(r"[,;:] "),
    re.compile(" "),
)  # where to cut, the first that there is


@dataclass(frozen=True)
class Translation:
    """A translation and where the model looked for it.

    Attributes:
        text: str.
        score: as the beam search ranked it, see `zoo.beam_search`; of a text in pieces the sum.
        log_probability: in nats, the end included.
        source_pieces, target_pieces: tuples of str, the tokens of source and translation, those within a character
            taken together.
        alignment: float32 `(target pieces, source pieces)`: how much the model looked at each source piece before it
            wrote the target piece. What is missing to 1 it gave to the end of the source.
        n_best: tuple of `Translation`s, the best first; of a text in pieces there is one.
    """

    text: str
    score: float
    log_probability: float
    source_pieces: tuple
    target_pieces: tuple
    alignment: np.ndarray
    n_best: tuple = field(default=(), repr=False)

    def words(self):
        """The alignment of words: those of the source, those of the translation, and float32 `(target, source)`.

        The words are what stands between spaces. Of the pieces of a source word the alignment is the sum, of those of
        a target word the mean.
        """
        source, columns = _words(self.source_pieces)
        target, rows = _words(self.target_pieces)
        found = np.zeros((len(target), len(source)), "float32")
        for row, column in np.ndindex(len(self.target_pieces), len(self.source_pieces)):
            found[rows[row], columns[column]] += self.alignment[row, column]
        return source, target, found / np.maximum(np.bincount(rows, minlength=len(target)), 1)[:, None]

    def plot_alignment(self, path):
        """Writes a PNG: the words of the source across, those of the translation down, dark where the model looked."""
        from matplotlib.figure import Figure

        source, target, alignment = self.words()
        size = (2 + 0.35 * len(source), 1.6 + 0.35 * len(target))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        if alignment.size:
            axes.imshow(alignment, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", parse_math=False)
        axes.set_yticks(range(len(target)), target, parse_math=False)
        axes.xaxis.tick_top()
        image = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks is drawn as a box
            figure.savefig(image, format="png", dpi=120)
        atomic_write(path, image.getvalue())


def _words(pieces):
    """What stands between spaces in the pieces together, and to which of these words each piece belongs."""
    words, places = [], []
    for piece in pieces:
        if not words or piece.startswith(" "):
            words.append("")
        words[-1] += piece
        places.append(len(words) - 1)
    return [word.strip() for word in words], np.array(places, "int64")


def translate(model, text, beam_width, length_penalty, coverage_penalty, n_best, batch_size, progress):
    """See `zoo.models.Translator.translate`; gives a list of `Translation`s."""
    _check(beam_width, length_penalty, coverage_penalty, n_best, batch_size)
    texts = reading.checked("text", text)
    pieces, places = [], []  # the pieces of all texts, and to which text each belongs
    for place, one in enumerate(texts):
        own = cut(model.tokenizer, normalized(one))
        pieces += own
        places += [place] * len(own)
    found, parts = {}, [[] for _ in texts]
    order = sorted(range(len(pieces)), key=lambda i: -len(pieces[i]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        tokens = [pieces[i] for i in indices]
        results = _search(model, tokens, beam_width, length_penalty, coverage_penalty, n_best, batch_size)
        found |= dict(zip(indices, results))
        if progress is not None:
            progress(len({places[i] for i in found}), len(texts))
    for i, place in enumerate(places):
        parts[place].append(found[i])
    return [_joined(model.tokenizer, own) for own in parts]


def cut(tokenizer, text):
    """The tokens of a text, in pieces each with its end; of an empty text none.

    A piece is of sentences that are short together, or of one sentence, or of a part of one that is too long.

    >>> pair = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    >>> [len(piece) for piece in cut(pair, "This is a sentence. " * 5 + "This one, however, is " + "long " * 30 + ".")]
    [40, 40, 20, 19, 123, 32]
    """
    pieces = []
    while text:
        end = len(text) if len(text) <= MOST_CHARACTERS else _end_before(text[:MOST_CHARACTERS])
        while len(tokens := tokenizer.encode_source(text[:end])) > LONGEST:
            end = _end_before(text[: end * LONGEST // len(tokens)])
        if len(tokens) > SENTENCES:
            tokens, end = _sentences(tokenizer, text[:end], tokens)
        pieces.append(tokens)
        text = text[end:].strip()
    return pieces


def _sentences(tokenizer, text, tokens):
    """Of a text and its tokens, the first sentence and those after it that are short together, and where they end."""
    kept = None
    for match in ENDS[0].finditer(text):
        some = tokenizer.encode_source(text[: match.end()].strip())
        if kept and len(some) > SENTENCES:
            break
        kept = some, match.end()
    return kept or (tokens, len(text))


def _end_before(text):
    """Where to cut a text that is about to be too long."""
    for pattern in ENDS:
        ends = [match.end() for match in pattern.finditer(text)]
        if ends:
            return ends[-1]
    return max(1, len(text))


def _search(model, pieces, beam_width, length_penalty, coverage_penalty, n_best, batch_size):
    """For each piece a list of `(source tokens, Hypothesis)`, the best first."""
    lengths = np.array([len(piece) for piece in pieces], "int32")
    time = padded_length(lengths.max(), fine=True, shortest=SHORTEST)
    rows = min(batch_size, 1 << (len(pieces) - 1).bit_length())
    source = np.zeros((rows, time), "int32")
    for row, piece in zip(source, pieces):
        row[: len(piece)] = piece
    lengths = np.pad(lengths, (0, rows - len(pieces)), constant_values=1)
    limits = np.where(np.arange(rows) < len(pieces), 2 * lengths + 10, 1).astype("int32")
    penalties = np.array([length_penalty, coverage_penalty], "float32")
    ended, history = model.search(beam_width, 2 * time + 10)(source, lengths, limits, penalties)
    hypotheses = beam_search.hypotheses(ended, history, lengths[: len(pieces)], n_best)
    return [[(piece, one) for one in several] for piece, several in zip(pieces, hypotheses)]


def compiled_search(model):
    """The beam search of one model, `(width, longest) -> function`, compiled once for each."""

    @functools.lru_cache
    def of(width, longest):
        return compiled(functools.partial(_loop, model, width, longest), model.variables)

    return of


def _loop(model, width, longest, source, lengths, limits, penalties):
    mask = ops.arange(source.shape[1])[None] < lengths[:, None]
    memory, states = model.encode(source, mask)
    keys = model.project_keys(memory)
    repeated = functools.partial(ops.repeat, repeats=width, axis=0)
    memory, keys, each_mask = repeated(memory), repeated(keys), repeated(mask)
    states = tree.map_structure(repeated, states)
    tokenizer = model.tokenizer
    return beam_search.loop(
        lambda tokens, states: model.step(tokens, states, memory, keys, each_mask),
        states,
        mask,
        limits,
        longest,
        width,
        tokenizer.start_id,
        tokenizer.end_id,
        penalties[0],
        penalties[1],
    )


def _joined(tokenizer, parts):
    """The translation of a text from those of its pieces."""
    if len(parts) == 1:
        several = [_translation(tokenizer, source, hypothesis) for source, hypothesis in parts[0]]
    else:
        several = [_chain([_translation(tokenizer, *part[0]) for part in parts])]
    best = several[0]
    return Translation(
        best.text,
        best.score,
        best.log_probability,
        best.source_pieces,
        best.target_pieces,
        best.alignment,
        tuple(several),
    )


def _translation(tokenizer, source, hypothesis):
    source_pieces, columns = _pieces(tokenizer.source, source[:-1])
    target_pieces, rows = _pieces(tokenizer.target, hypothesis.tokens)
    alignment = np.zeros((len(target_pieces), len(source_pieces)), "float32")
    counts = np.maximum(np.bincount(rows, minlength=len(target_pieces)), 1)
    for row, place in zip(hypothesis.alignment, rows):
        np.add.at(alignment[place], columns, row[:-1] / counts[place])
    text = normalized("".join(target_pieces))
    return Translation(text, hypothesis.score, hypothesis.log_probability, source_pieces, target_pieces, alignment)


def _pieces(tokenizer, tokens):
    """The tokens as str, those within a character together, and to which of these each token belongs."""
    decode, texts, places = tokenizer.decoder(), [""], []
    for token in tokens:
        places.append(len(texts) - 1)
        texts[-1] += decode([token])
        if texts[-1]:
            texts.append("")
    texts[-1] += decode([], final=True)
    return tuple(texts if texts[-1] else texts[:-1]), np.array(places, "int64")


def _chain(translations):
    """Translations of pieces, one after another."""
    shapes = [(len(one.target_pieces), len(one.source_pieces)) for one in translations]
    alignment, row, column = np.zeros(np.sum(shapes, axis=0, dtype=int) if shapes else (0, 0), "float32"), 0, 0
    source, target = [], []
    for one, (rows, columns) in zip(translations, shapes):
        alignment[row : row + rows, column : column + columns] = one.alignment
        row, column = row + rows, column + columns
        for pieces, own in ((source, one.source_pieces), (target, one.target_pieces)):
            pieces += [" " + own[0].lstrip(), *own[1:]] if pieces and own else own
    return Translation(
        " ".join(one.text for one in translations if one.text),
        sum(one.score for one in translations),
        sum(one.log_probability for one in translations),
        tuple(source),
        tuple(target),
        alignment,
    )


def _check(beam_width, length_penalty, coverage_penalty, n_best, batch_size):
    for name, value in (("beam_width", beam_width), ("n_best", n_best), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"`{name}` must be an int of at least 1. Received: {name}={value!r:.100}")
    if beam_width > WIDEST:
        raise ValueError(f"`beam_width` can be at most {WIDEST}. Received: beam_width={beam_width}")
    if n_best > beam_width:
        raise ValueError(f"`n_best` can be at most `beam_width`. Received: n_best={n_best}, beam_width={beam_width}")
    for name, value in (("length_penalty", length_penalty), ("coverage_penalty", coverage_penalty)):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < np.inf:
            raise ValueError(f"`{name}` must be a finite number of at least 0. Received: {name}={value!r:.100}")
