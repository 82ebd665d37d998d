import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.tokenizers import ByteTokenizer, CharacterTokenizer, from_json, schema

TEXTS = {
    "empty": "",
    "plain": "To be, or not to be\n",
    "nul": "a\0b",
    "emoji joined by ZWJ": "👩\u200d👩\u200d👧\u200d👦!",
    "right to left": "שלום \u202bمرحبا\u202c",
    "combining": "e\u0301 \u1e9b\u0323",
    "line ends": "a\r\nb\u2028c",
    "last code point": "\U0010ffff",
}
SURROGATE = "a\ud83db"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_round_trip(text):
    known = CharacterTokenizer.of(text + "x")
    for tokenizer in (ByteTokenizer(), known):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int32
        assert tokenizer.decode(ids) == text
        assert ids.size == 0 or 0 <= ids.min() <= ids.max() < tokenizer.vocabulary_size
    assert len(known.encode(text)) == len(text)


@given(st.text(st.characters()))  # surrogates too
def test_bytes_are_those_of_utf_8(text):
    try:
        expected = text.encode()
    except UnicodeEncodeError:
        expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    assert ByteTokenizer().encode(text).tolist() == list(expected)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), min_size=1), st.text(st.characters()))
def test_characters_have_their_place_in_the_alphabet_and_0_is_for_others(corpus, text):
    tokenizer = CharacterTokenizer.of(corpus)
    alphabet = sorted(set(corpus))
    assert tokenizer.vocabulary_size == len(alphabet) + 1
    assert tokenizer.encode(text).tolist() == [alphabet.index(c) + 1 if c in alphabet else 0 for c in text]
    assert tokenizer.decode(tokenizer.encode(text)) == "".join(c if c in alphabet else "\ufffd" for c in text)


def test_lone_surrogates():
    assert ByteTokenizer().decode(ByteTokenizer().encode(SURROGATE)) == "a\ufffdb"
    assert CharacterTokenizer.of(SURROGATE).characters == "ab"
    assert CharacterTokenizer.of("ab").encode(SURROGATE).tolist() == [1, 0, 2]


def test_the_replacement_character_of_a_corpus_is_unknown():
    tokenizer = CharacterTokenizer.of("a\ufffd")
    assert tokenizer.encode("\ufffda").tolist() == [0, 1]


def test_unknown_error_names_character_and_position():
    tokenizer = CharacterTokenizer("ab", unknown="error")
    assert tokenizer.encode("abba").tolist() == [1, 2, 2, 1]
    with pytest.raises(ValueError, match=r"`text` has 'é' at position 2, .* the 2 characters"):
        tokenizer.encode("abéz")
    with pytest.raises(ValueError, match="position 1"):
        tokenizer.encode(SURROGATE)


@pytest.mark.parametrize("characters", ["", "aba"])
def test_characters_must_be_distinct(characters):
    with pytest.raises(ValueError, match="`characters` must be distinct"):
        CharacterTokenizer(characters)


def test_unknown_must_be_a_policy():
    with pytest.raises(ValueError, match="`unknown` must be 'replace' or 'error'. Received: unknown='skip'"):
        CharacterTokenizer("ab", unknown="skip")


@pytest.mark.parametrize("text", [None, 5, b"bytes", ["a"]])
@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharacterTokenizer("ab")], ids=["bytes", "characters"])
def test_what_is_not_text_is_a_type_error(tokenizer, text):
    with pytest.raises(TypeError, match="`text` must be a str"):
        tokenizer.encode(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_decoder_gives_the_same_in_pieces(text, size):
    for tokenizer in (ByteTokenizer(), CharacterTokenizer.of(text + "x")):
        ids, decode = tokenizer.encode(text), tokenizer.decoder()
        pieces = [decode(ids[i : i + size]) for i in range(0, len(ids), size)]
        assert "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces)


def test_decoder_holds_back_half_a_character_until_the_end():
    decode = ByteTokenizer().decoder()
    assert decode([0xC3]) == ""
    assert decode([0xA9, 0xC3]) == "é"
    assert decode([], final=True) == "\ufffd"
    assert ByteTokenizer().decode([65, 0xFF, 66]) == "A\ufffdB"


@pytest.mark.parametrize(
    "tokenizer, start",
    [(ByteTokenizer(), 10), (CharacterTokenizer("\tab\n"), 4), (CharacterTokenizer("ab", "error"), 1)],
)
def test_a_text_begins_after_a_newline_or_the_first_token(tokenizer, start):
    assert tokenizer.start_id == start


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharacterTokenizer('\0"é\n👩', "error")])
def test_json_round_trip(tokenizer):
    record = json.loads(json.dumps(tokenizer.to_json()))
    jsonschema.validate(record, schema(record))
    assert from_json(record) == tokenizer
