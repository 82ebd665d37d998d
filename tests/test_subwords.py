import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import tokenizers
from zoo.subwords import SubwordTokenizer, _alphabet

TEXTS = ["The slow boat rows slowly.", "A slower boat, a slow river; rows of boats.", "naïve café"] * 5
TOKENIZER = SubwordTokenizer.of(TEXTS, vocabulary_size=300)


@given(st.text())
def test_round_trip_of_any_text(text):
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    decode = TOKENIZER.decoder()
    assert "".join(decode([i]) for i in TOKENIZER.encode(text)) + decode([], final=True) == text


def test_frequent_words_are_one_token():
    assert 256 < TOKENIZER.vocabulary_size <= 300
    assert len(TOKENIZER.encode(" slow")) == 1
    assert len(TOKENIZER.encode(" zygote")) == len(" zygote")
    assert TOKENIZER.encode("slow").dtype == np.int32


def test_json_round_trip():
    tokenizer = SubwordTokenizer.of(TEXTS, 280, lowercase=True, preparation="review")
    again = tokenizers.from_json(tokenizer.to_json())
    assert again == tokenizer
    text = "Slow<br />BOATS &amp; é"
    assert again.encode_document(text).tolist() == tokenizer.encode_document(text).tolist()
    assert again.decode(again.encode_document(text)) == "\n slow\nboats & é "
    assert max(tokenizer.encode(" ".join(TEXTS))) < tokenizer.vocabulary_size


def test_bytes_come_first_and_start_is_a_newline():
    assert SubwordTokenizer(()).vocabulary_size == len(_alphabet()) == 256
    assert TOKENIZER.decode([TOKENIZER.start_id]) == "\n"


def test_lone_surrogates_become_replacement_characters():
    assert TOKENIZER.decode(TOKENIZER.encode("a\ud800b")) == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("merges", [["ab"], ["a b c"], ["a zz"], ["a \n"], [""]])
def test_merges_that_cannot_be_are_refused(merges):
    with pytest.raises(ValueError, match="`merges` has"):
        SubwordTokenizer(merges)


def test_only_str():
    with pytest.raises(TypeError, match="`text` must be a str"):
        TOKENIZER.encode(b"bytes")
