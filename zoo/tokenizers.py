"""Text to token ids and back: bytes, the characters of a corpus, or subwords (`zoo.subwords`).

A translator has two of them, a `TokenizerPair` (`zoo.tokenizer_pair`).

A tokenizer has `vocabulary_size`, `unknown_id` (None where no input is unknown), `start_id` (what stands before the
first token of a text: a newline, or the first token if there is none), `encode(text) -> int32 array`,
`decode(ids) -> str`, `decoder()` for text that arrives piece by piece, and `to_json()`; `from_json` reads it back.
`encode_document(text)` encodes a whole text, prepared as those were that the model has learnt from.
"""

import codecs
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.subwords import SubwordTokenizer
from zoo.text_preparation import PREPARATIONS, checked, without_surrogates
from zoo.tokenizer_pair import TokenizerPair

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class ByteTokenizer:
    """UTF-8 bytes: 256 tokens, and no input is unknown. A lone surrogate becomes U+FFFD.

    Args:
        preparation: of whole documents, a key of `zoo.text_preparation.PREPARATIONS`.

    >>> ByteTokenizer().encode("né").tolist()
    [110, 195, 169]
    """

    preparation: str = "plain"

    kind = "bytes"
    vocabulary_size = 256
    unknown_id = None
    start_id = ord("\n")

    def encode(self, text):
        text = checked(text)
        return np.frombuffer(without_surrogates(text).encode(), dtype=np.uint8).astype(np.int32)

    def encode_document(self, text):
        return self.encode(PREPARATIONS[self.preparation](checked(text)))

    def byte_id(self, byte):
        """The token of a byte by itself."""
        return byte

    def decode(self, ids):
        """Text of the ids; what is not UTF-8 becomes U+FFFD."""
        return bytes(np.asarray(ids, dtype=np.uint8)).decode("utf-8", "replace")

    def decoder(self):
        """A function that turns further ids into further text, and holds back half a character until it is whole."""
        incremental = codecs.getincrementaldecoder("utf-8")("replace")
        return lambda ids, final=False: incremental.decode(bytes(np.asarray(ids, dtype=np.uint8)), final)

    def to_json(self):
        return (
            {"kind": self.kind} if self.preparation == "plain" else {"kind": self.kind, "preparation": self.preparation}
        )


@dataclass(frozen=True)
class CharacterTokenizer:
    """The distinct characters of a corpus, one token each; id 0 stands for every other character.

    Args:
        characters: the known characters, without repetition; their ids are 1, 2, ...
        unknown: what `encode` does with other characters: `"replace"` gives id 0, which decodes to U+FFFD and which
            models never write; `"error"` raises a ValueError.

    >>> tokenizer = CharacterTokenizer.of("hello")
    >>> tokenizer.encode("hole!").tolist(), tokenizer.decode([2, 1, 3, 3, 4])
    ([2, 4, 3, 1, 0], 'hello')
    """

    characters: str
    unknown: str = "replace"

    kind = "characters"
    unknown_id = 0

    def __post_init__(self):
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise ValueError(f"`characters` must be distinct characters. Received: characters={self.characters!r}")
        if self.unknown not in ("replace", "error"):
            raise ValueError(f"`unknown` must be 'replace' or 'error'. Received: unknown={self.unknown!r}")

    @classmethod
    def of(cls, corpus, unknown="replace"):
        """The tokenizer of a corpus, its characters in the order of their code points."""
        return cls("".join(sorted(set(without_surrogates(corpus)) - {REPLACEMENT})), unknown)

    @property
    def vocabulary_size(self):
        return len(self.characters) + 1

    @property
    def start_id(self):
        return self.characters.find("\n") + 1 or 1

    @cached_property
    def _ids(self):
        codes = _codes(self.characters)
        table = np.zeros(codes.max() + 2, dtype=np.int32)  # the last entry serves every larger code
        table[codes] = np.arange(1, len(codes) + 1)
        return table

    def encode(self, text):
        codes = _codes(checked(text))
        ids = self._ids[np.minimum(codes, len(self._ids) - 1)]
        if self.unknown == "error" and (ids == 0).any():
            position = int(np.argmax(ids == 0))
            raise ValueError(
                f"`text` has {chr(codes[position])!r} at position {position}, which is not among the "
                f"{len(self.characters)} characters that the model knows. Remove it, or use unknown='replace'."
            )
        return ids

    encode_document = encode

    def decode(self, ids):
        known = REPLACEMENT + self.characters
        return "".join(known[i] for i in np.asarray(ids, dtype=np.int64))

    def decoder(self):
        return lambda ids, final=False: self.decode(ids)

    def to_json(self):
        return {"kind": self.kind, "characters": self.characters, "unknown": self.unknown}


def from_json(record):
    """The tokenizer of a `to_json` record that the checkpoint's schema has accepted."""
    if record["kind"] == TokenizerPair.kind:
        return TokenizerPair(from_json(record["source"]), from_json(record["target"]))
    if record["kind"] == ByteTokenizer.kind:
        return ByteTokenizer(record.get("preparation", "plain"))
    if record["kind"] == SubwordTokenizer.kind:
        return SubwordTokenizer(record["merges"], record["lowercase"], record["preparation"])
    return CharacterTokenizer(record["characters"], record["unknown"])


def _codes(text):
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)


_SINGLE = {
    "type": "object",
    "required": ["kind"],
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": [ByteTokenizer.kind, CharacterTokenizer.kind, SubwordTokenizer.kind]},
        "characters": {"type": "string", "minLength": 1, "maxLength": 1_000_000},
        "unknown": {"enum": ["replace", "error"]},
        "preparation": {"enum": list(PREPARATIONS)},
        "merges": {"type": "array", "maxItems": 1_000_000, "items": {"type": "string", "maxLength": 1000}},
        "lowercase": {"type": "boolean"},
    },
}
_PAIR = {
    "type": "object",
    "required": ["kind", "source", "target"],
    "additionalProperties": False,
    "properties": {"kind": {"const": TokenizerPair.kind}, "source": _SINGLE, "target": _SINGLE},
}


def schema(record):
    """Of `tokenizer.json`, for this record."""
    return _PAIR if record.get("kind") == TokenizerPair.kind else _SINGLE
