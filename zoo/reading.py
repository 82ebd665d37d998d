"""Reading many texts of any length: similar lengths side by side, in pieces of few shapes, the state carried on."""

import numbers

import numpy as np
from keras import ops

from zoo.distinct import distinct
from zoo.padding import padded_length

PIECE = 256  # timesteps
MANY = 256  # documents, from which on it pays to compile more shapes in order to pad less


def checked(name, value):
    """A str, or a list, array or series of them, as a list.

    Raises:
        TypeError: it is something else.
    """
    value = value.tolist() if hasattr(value, "tolist") else value  # of NumPy and pandas
    texts = list(value) if isinstance(value, (list, tuple)) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"`{name}` must be a str, or a list of them. Received: {text!r:.100}")
    return texts


def pieces(documents, rows=1, most=PIECE, fine=False):
    """Documents side by side, cut into pieces that are padded so that few shapes are compiled.

    Args:
        documents: list of int arrays `(tokens,)`.
        rows: at least as many as there are documents.
        most: timesteps of a piece.
        fine: whether to pad less and compile more, see `zoo.padding`.

    Yields:
        int32 `(rows, timesteps)`, and a boolean mask: where there is a token.
    """
    lengths = np.zeros(rows, "int64")
    lengths[: len(documents)] = [len(document) for document in documents]
    longest = int(lengths.max())
    for start in range(0, longest, most):
        size = min(most, padded_length(longest - start, fine))
        tokens = np.zeros((rows, size), "int32")
        for row, document in zip(tokens, documents):
            some = document[start : start + size]
            row[: len(some)] = some
        yield tokens, np.arange(size) < lengths[:, None] - start


def read(documents, read_some, initial, batch_size=64, progress=None):
    """Reads documents of any length to their end.

    Args:
        documents: list of int arrays `(tokens,)`.
        read_some: `(tokens, mask, carry) -> carry`, with `zoo.distinct.Distinct` tokens.
        initial: `(rows) -> carry`, for so many documents.
        batch_size: how many are read side by side.
        progress: called with the number of documents done and in all.

    Yields:
        The indices of some documents, and the carry after them; it may have more rows.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive int. Received: batch_size={batch_size!r:.100}")
    order = np.argsort([-len(document) for document in documents], kind="stable")
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        rows = min(batch_size, 1 << (len(indices) - 1).bit_length())
        carry = initial(rows)
        for tokens, mask in pieces([documents[i] for i in indices], rows, fine=len(documents) >= MANY):
            carry = read_some(distinct(tokens), mask, carry)
        yield indices, carry
        if progress is not None:
            progress(start + len(indices), len(order))


def features(model, texts, batch_size=64, progress=None):
    """The final states of a model's last layer; see `LanguageModel.features`."""
    documents = [model.tokenizer.encode_document(text) for text in checked("texts", texts)]
    found = np.zeros((len(documents), model.config.units), "float32")
    encoder = model.encoder
    for indices, state in read(documents, encoder.read_some, encoder.initial_state, batch_size, progress):
        found[indices] = ops.convert_to_numpy(ops.cast(state[-1][-1], "float32"))[: len(indices)]
    return found
