"""The tokenizers of a translator."""

import numpy as np
import pytest

import zoo
from zoo.tokenizer_pair import END, START
from zoo.tokenizers import ByteTokenizer, CharacterTokenizer, SubwordTokenizer, TokenizerPair, from_json, schema

TEXTS = ["The cat sat on the mat. 😀", "Größe, ça va? 中文"] * 4
SUBWORDS = SubwordTokenizer.of(TEXTS, vocabulary_size=270)


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), SUBWORDS])
def test_no_text_has_the_start_or_the_end(tokenizer):
    special = {tokenizer.byte_id(START), tokenizer.byte_id(END)}
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000, 7)]))
    assert not special & set(tokenizer.encode(everything).tolist())
    assert len(special) == 2


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), SUBWORDS])
def test_every_byte_is_a_token(tokenizer):
    assert sorted(tokenizer.byte_id(byte) for byte in range(256)) == sorted({tokenizer.byte_id(b) for b in range(256)})
    for byte in range(128):
        assert tokenizer.decode([tokenizer.byte_id(byte)]) == chr(byte)


def test_encoded_sentences():
    pair = TokenizerPair(SUBWORDS, ByteTokenizer())
    assert pair.vocabulary_size == (270, 256)
    source, target = pair.encode_source(" The\tcat \n"), pair.encode_target(" Die\u202fKatze ")
    assert source.dtype == target.dtype == np.int32
    assert source[-1] == SUBWORDS.byte_id(END)
    assert SUBWORDS.decode(source[:-1]) == "The cat"
    assert target[0] == pair.start_id == START
    assert target[-1] == pair.end_id == END
    assert pair.target.decode(target[1:-1]) == "Die Katze"
    assert pair.encode_source("").tolist() == [SUBWORDS.byte_id(END)]


def test_json_round_trip():
    pair = TokenizerPair(SUBWORDS, ByteTokenizer())
    assert from_json(pair.to_json()) == pair
    assert schema(pair.to_json()) is not schema(SUBWORDS.to_json())


def test_characters_will_not_do():
    with pytest.raises(ValueError, match="`target` must be a tokenizer whose tokens include all bytes"):
        TokenizerPair(ByteTokenizer(), CharacterTokenizer.of("abc"))
    with pytest.raises(TypeError, match="must be a str"):
        zoo.tokenizers.TokenizerPair(ByteTokenizer(), ByteTokenizer()).encode_source(3)
