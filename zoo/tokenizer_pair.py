"""The two tokenizers of a translator, and what stands before and after a sentence."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.text_preparation import checked

START, END = 0xFE, 0xFF  # bytes that occur in no UTF-8 text, so no text can contain them


@dataclass(frozen=True)
class TokenizerPair:
    """A tokenizer for the language that is read and one for the language that is written; they may be the same.

    Both must have all bytes as tokens. A sentence begins with the token of the byte 0xFE and ends with that of 0xFF,
    which never occur in UTF-8.

    Args:
        source: `ByteTokenizer` or `SubwordTokenizer`.
        target: the same.

    >>> tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    >>> tokenizer.encode_source("Hi\\n you").tolist(), tokenizer.encode_target("Du").tolist()
    ([72, 105, 32, 121, 111, 117, 255], [254, 68, 117, 255])
    """

    source: object
    target: object

    kind = "pair"

    def __post_init__(self):
        for name in ("source", "target"):
            if not hasattr(getattr(self, name), "byte_id"):
                raise ValueError(
                    f"`{name}` must be a tokenizer whose tokens include all bytes, a ByteTokenizer or a "
                    f"SubwordTokenizer. Received: {getattr(self, name)!r:.100}"
                )

    @property
    def vocabulary_size(self):
        """Of the source and of the target."""
        return self.source.vocabulary_size, self.target.vocabulary_size

    @cached_property
    def start_id(self):
        """Of the target."""
        return self.target.byte_id(START)

    @cached_property
    def end_id(self):
        """Of the target."""
        return self.target.byte_id(END)

    def encode_source(self, text):
        """The tokens of a sentence, int32, and the end. White space of any kind and length is one space."""
        return _with(self.source, text, after=END)

    def encode_target(self, text):
        """The start, the tokens of a sentence, int32, and the end."""
        return _with(self.target, text, before=START, after=END)

    def to_json(self):
        return {"kind": self.kind, "source": self.source.to_json(), "target": self.target.to_json()}


def _with(tokenizer, text, before=None, after=None):
    tokens = tokenizer.encode(normalized(text))
    first = [] if before is None else [tokenizer.byte_id(before)]
    return np.concatenate([first, tokens, [tokenizer.byte_id(after)]]).astype("int32")


def normalized(text):
    """A sentence as translators are trained on it: white space of any kind and length is one space."""
    return " ".join(checked(text).split())
