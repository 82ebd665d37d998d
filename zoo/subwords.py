"""Subwords: byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019), by the `tokenizers` library."""

import codecs
import json
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from zoo.text_preparation import PREPARATIONS, checked, without_surrogates


@dataclass(frozen=True)
class SubwordTokenizer:
    """Frequent sequences of bytes, one token each; no input is unknown, since every byte is a token, too.

    The first 256 tokens are the bytes, each later one is made of two before it.

    Args:
        merges: pairs of tokens that are merged into one, in order of precedence, with a space between the two; bytes
            are written as the `tokenizers` library writes them.
        lowercase: whether texts are lowercased first; then `decode` cannot give capitals back.
        preparation: of whole documents, a key of `zoo.text_preparation.PREPARATIONS`.

    >>> tokenizer = SubwordTokenizer.of(["low lower lowest"] * 9, vocabulary_size=260)
    >>> len(tokenizer.encode("lower")) < 5, tokenizer.decode(tokenizer.encode("slow, né"))
    (True, 'slow, né')
    """

    merges: tuple
    lowercase: bool = False
    preparation: str = "plain"

    kind = "subwords"
    unknown_id = None

    def __post_init__(self):
        object.__setattr__(self, "merges", tuple(self.merges))
        known = set(_alphabet())
        for merge in self.merges:
            parts = merge.split(" ")
            if len(parts) != 2 or not set(parts) <= known:
                raise ValueError(f"`merges` has {merge!r:.100}, which is not two earlier tokens.")
            known.add("".join(parts))

    @classmethod
    def of(cls, texts, vocabulary_size, lowercase=False, preparation="plain"):
        """The tokenizer whose tokens are the most frequent in the texts, an iterable of str."""
        from tokenizers import trainers

        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size, initial_alphabet=list(_alphabet()), show_progress=False, special_tokens=[]
        )
        engine = cls((), lowercase, preparation)._engine
        prepare = PREPARATIONS[preparation]
        engine.train_from_iterator((without_surrogates(prepare(text)) for text in texts), trainer)
        merges = json.loads(engine.to_str())["model"]["merges"]
        return cls(tuple(" ".join(pair) for pair in merges), lowercase, preparation)

    @property
    def vocabulary_size(self):
        return len(self._pieces)

    @property
    def start_id(self):
        return int(self.encode("\n")[0])

    @cached_property
    def _pieces(self):
        merged = (merge.replace(" ", "") for merge in self.merges)
        return tuple(dict.fromkeys((*_alphabet(), *merged)))  # several merges may make the same token

    @cached_property
    def _engine(self):
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        vocabulary = {piece: i for i, piece in enumerate(self._pieces)}
        engine = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in self.merges]))
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        if self.lowercase:
            engine.normalizer = normalizers.Lowercase()
        return engine

    @cached_property
    def _bytes(self):
        """The bytes of every token."""
        byte_of = {character: bytes([byte]) for byte, character in _characters().items()}
        return [b"".join(byte_of[character] for character in piece) for piece in self._pieces]

    def encode(self, text):
        return np.array(self._engine.encode(without_surrogates(checked(text))).ids, dtype=np.int32)

    def encode_document(self, text):
        return self.encode(PREPARATIONS[self.preparation](checked(text)))

    def byte_id(self, byte):
        """The token of a byte by itself."""
        return _alphabet().index(_characters()[byte])

    def decode(self, ids):
        """Text of the ids; what is not UTF-8 becomes U+FFFD."""
        return self.decoder()(ids, final=True)

    def decoder(self):
        """A function that turns further ids into further text, and holds back half a character until it is whole."""
        incremental = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = self._bytes
        return lambda ids, final=False: incremental.decode(b"".join(pieces[i] for i in ids), final)

    def to_json(self):
        return {
            "kind": self.kind,
            "merges": list(self.merges),
            "lowercase": self.lowercase,
            "preparation": self.preparation,
        }


@cache
def _characters():
    """The printable character by which each byte is written (GPT-2's `bytes_to_unicode`)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


@cache
def _alphabet():
    return tuple(sorted(_characters().values()))
