"""A batch of tokens as the distinct ones and where they stand.

A text repeats its tokens: of 16,384 in a row, some 3,500 are different. What depends on the token alone, its embedding
and the products of that with the kernels of the first recurrent layer, is computed once for each.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from zoo.padding import padded_length


class Distinct(NamedTuple):
    """Tokens, each stored once.

    Attributes:
        places: int32 `(batch, time)`, which of `tokens` stands there.
        tokens: int32 `(count,)`, padded so that few shapes are compiled.
    """

    places: np.ndarray
    tokens: np.ndarray

    @property
    def shape(self):
        return self.places.shape

    def plain(self):
        """The tokens `(batch, time)` again."""
        return ops.take(self.tokens, self.places, axis=0)


def distinct(tokens):
    """A batch of tokens as `Distinct`.

    Args:
        tokens: int array `(batch, time)`.

    >>> found = distinct(np.array([[7, 9, 7], [9, 9, 300]]))
    >>> found.places.tolist(), found.tokens[:3].tolist(), found.tokens.shape
    ([[0, 1, 0], [1, 1, 2]], [7, 9, 300], (32,))
    """
    found, places = np.unique(tokens, return_inverse=True)
    padded = np.zeros(padded_length(len(found), fine=True), "int32")
    padded[: len(found)] = found
    return Distinct(places.reshape(tokens.shape).astype("int32"), padded)
