import functools

import numpy as np
import pytest
from keras import ops

from tests.odd_texts import ODD
from zoo import generation, samplers
from zoo.backend import compiled
from zoo.models import LanguageModel, LanguageModelConfig, language_model
from zoo.tokenizers import ByteTokenizer, CharacterTokenizer

CHARACTERS = CharacterTokenizer("\n abcdefghé👩")
MODELS = {
    "rnn": {},
    "lstm": {},
    "gru": {},
    "peephole": {},
    "mlstm": {},
    "lstm, two layers, tied": {"layers": 2, "tied": True},
    "gru, two layers": {"layers": 2},
    "mlstm, two layers, weight normalization": {"layers": 2, "weight_normalization": True},
    "lstm, bytes": {},
}
PROMPTS = ["", "abc", "hé👩" * 4, "a\0"]


@functools.cache
def make(name="lstm", seed=1):
    """A model whose random weights prefer a few tokens, and the bytes of text."""
    tokenizer = ByteTokenizer() if "bytes" in name else CHARACTERS
    options = {"recurrent": name.partition(",")[0], "units": 12, "embedding_size": 12, **MODELS[name]}
    model = LanguageModel(LanguageModelConfig(tokenizer.vocabulary_size, **options), tokenizer)
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(scale=0.5, size=variable.shape))
    if model.output_layer is not None:
        bias = np.zeros(tokenizer.vocabulary_size)
        if tokenizer.unknown_id is None:
            bias[list("abcé👩".encode())] = 4
        bias[0] = 3  # what must not be written is likely
        model.output_layer.kernel.assign(2 * ops.convert_to_numpy(model.output_layer.kernel))
        model.output_layer.bias.assign(bias)
    return model


@functools.cache
def step_of(model):
    return compiled(model.step, model.variables)


def written(model, prompt, length, choose):
    """Token by token, by `LanguageModel.step`: what `generate` must give."""
    tokenizer, step, state = model.tokenizer, step_of(model), model.initial_state(1)
    for token in (tokenizer.start_id, *tokenizer.encode(prompt)):
        logits, state = step(np.array([token], "int32"), state)
    text, decode = "", tokenizer.decoder()
    while len(text) < length:
        logits = np.array(ops.convert_to_numpy(logits))
        if tokenizer.unknown_id is not None:
            logits[:, tokenizer.unknown_id] = -np.inf
        token = choose(logits)
        text += decode(token)
        logits, state = step(token, state)
    return text[:length]


def likeliest(logits):
    return logits.argmax(-1).astype("int32")


def sampler(seed, temperature, top_k=None, top_p=None):
    random = np.random.default_rng([seed, 0])

    def choose(logits):
        uniform = random.random(1, dtype="float32")
        return ops.convert_to_numpy(samplers.sample(logits, uniform, temperature, top_k, top_p))

    return choose


@pytest.mark.parametrize("name", MODELS)
def test_loop_equals_steps_by_hand(name):
    model = make(name)
    for prompt in PROMPTS:
        assert model.generate(prompt, length=30, temperature=0) == written(model, prompt, 30, likeliest)
        text = model.generate(prompt, length=30, temperature=0.9, seed=5)
        assert text == written(model, prompt, 30, sampler(5, 0.9))
        assert len(set(text)) > 3


def test_top_k_and_top_p_reach_the_sampler():
    model = make()
    options = {"temperature": 1.2, "top_k": 4, "top_p": 0.8}
    text = model.generate("abc", length=40, seed=7, **options)
    assert text == written(model, "abc", 40, sampler(7, 1.2, np.array(4), 0.8))
    assert text != written(model, "abc", 40, sampler(7, 1.2))


def test_top_k_of_one_is_greedy_and_of_the_vocabulary_is_none():
    model = make()
    size = CHARACTERS.vocabulary_size
    assert model.generate("a", length=50, top_k=1, seed=1) == model.generate("a", length=50, temperature=0)
    assert model.generate("a", length=50, top_k=size, seed=1) == model.generate("a", length=50, seed=1)


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_same_seed_same_text(name):
    generate = functools.partial(make(name).generate, "abc", length=60)
    assert generate(seed=3) == generate(seed=3) != generate(seed=4)
    assert generate(seed=None) != generate(seed=None)
    assert generate(seed=np.int64(3)) == generate(seed=3)
    assert generate(seed=2**70) != generate(seed=0)


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_pieces_of_the_stream_are_the_text(name, prompt):
    model = make(name)
    for options in ({}, {"stop": "éa"}, {"stop": ["a", "👩b"]}):
        pieces = list(model.stream(prompt, length=200, seed=2, **options))
        assert all(pieces)
        assert "".join(pieces) == model.generate(prompt, length=200, seed=2, **options)
    assert len(list(model.stream(prompt, length=200, seed=2))) > 2


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_text_does_not_depend_on_the_chunks(name, monkeypatch):
    model = make(name)
    full = model.generate("abc", length=70, seed=0)
    options = [{}, {"stop": full[40:43]}, {"stop": [full[29:34], full[30:32], full[31:34]]}]

    def texts():
        return [model.generate(PROMPTS, length=70, seed=seed, **more) for seed in range(4) for more in options]

    expected = texts()
    assert len({len(text) for texts in expected for text in texts}) > 2  # some were stopped
    for chunk in (1, 7):
        monkeypatch.setattr(generation, "CHUNK", chunk)
        assert texts() == expected


@pytest.mark.parametrize("name", ["lstm", "gru, two layers", "lstm, bytes"])
def test_prompts_of_different_lengths_do_not_touch_each_other(name):
    model = make(name)
    together = model.generate(PROMPTS, length=40, temperature=0)
    assert together == [model.generate(prompt, length=40, temperature=0) for prompt in PROMPTS]
    assert len(set(together)) > 2


def test_rows_of_a_batch_differ_and_the_first_is_that_of_one_prompt():
    model = make()
    texts = model.generate(["abc"] * 3, length=40, seed=1)
    assert len(set(texts)) == 3
    assert texts[0] == model.generate("abc", length=40, seed=1)


def test_a_list_gives_a_list():
    model = make()
    assert model.generate([], length=5) == []
    assert [len(text) for text in model.generate(["abc"], length=5)] == [5]
    assert [len(text) for text in model.generate(("", "abc"), length=5)] == [5, 5]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_no_length_no_text(prompt):
    assert make().generate(prompt, length=0) == ""
    assert list(make().stream(prompt, length=0)) == []


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_length_counts_characters(name):
    for length in (1, 2, 9, np.int64(33)):
        text = make(name).generate("é", length=length, seed=1)
        assert len(text) == length
    assert len(make(name).generate("é", length=300, seed=1).encode()) > 320


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_only_the_end_of_a_long_prompt_is_read(name, monkeypatch):
    model = make(name)
    monkeypatch.setattr(generation, "PROMPT_LIMIT", 3)
    prompts = "abc", "habc", "é" * 3000 + "abc", "bc", "hbc"
    texts = [model.generate(prompt, length=40, seed=1) for prompt in prompts]
    assert texts[0] == texts[1] == texts[2]
    assert texts[0] not in texts[3:]


@pytest.mark.parametrize("temperature", [1e-45, 0.5, 1, 1e9, 1e39])
def test_the_unknown_token_is_never_written(temperature):
    text = make().generate("abc", length=300, temperature=temperature, seed=1)
    assert len(text) == 300
    assert set(text) <= set(CHARACTERS.characters)


def test_no_temperature_writes_what_the_least_one_does():
    assert make().generate("abc", length=50, temperature=0) == make().generate("abc", length=50, temperature=1e-40)


def test_unknown_characters_are_read_as_the_unknown_token():
    model = make()
    assert model.generate("aZb", length=30, temperature=0) == model.generate("a\ufffdb", length=30, temperature=0)


def test_a_tokenizer_that_refuses_unknown_characters():
    tokenizer = CharacterTokenizer("abc", unknown="error")  # without the newline that stands before a text
    model = LanguageModel(LanguageModelConfig(4, units=4), tokenizer)
    assert len(model.generate("abc", length=5)) == 5
    assert model.score("abc").tokens == 3
    with pytest.raises(ValueError, match="`text` has 'd' at position 1"):
        model.generate("ad")


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_stop_ends_the_text_before_its_first_occurrence(name, count):
    """At every place of a text of 40 characters, some of them behind the border of a chunk of the stream."""
    model = make(name)
    full = model.generate("abc", length=40, seed=9)
    for i in range(40 - count):
        stop = full[i : i + count]
        expected = full[: full.index(stop)]
        assert model.generate("abc", length=40, seed=9, stop=stop) == expected
        if i % 8 == 0:
            assert "".join(model.stream("abc", length=40, seed=9, stop=[stop, "never written"])) == expected


def test_of_several_stops_the_one_that_is_complete_first_counts(scripted):
    assert scripted("eabcdf", stop=["abcd", "bc"]) == "ea"
    assert scripted("eabcdf", stop=["bc", "abc"]) == "e"
    assert scripted("eabcdf", stop=("df", "gg")) == "eabc"


def test_text_held_back_for_a_stop_is_released(scripted):
    assert scripted("aaab", stop="aab") == "a"
    assert scripted("aabaac", stop="aaa") == "aabaac"
    assert scripted("abab", stop="ababab") == "abab"  # until the length
    assert scripted("eab", stop="abc") == "eab"


def test_a_stop_beyond_the_length_is_not_seen(scripted):
    assert scripted("abcd", stop="cd", length=3) == "abc"


@pytest.fixture
def scripted(monkeypatch):
    """`generate` and `stream` for a model that writes one text, whatever it reads."""
    model = make()

    def write(text, stop, length=None):
        texts = set()
        for chunk in (1, 2, 3, 64):
            ids = iter(CHARACTERS.encode(text * 40).tolist())  # and goes on

            def loop(forced, uniforms, steps, token, state, *settings, ids=ids):
                tokens = np.zeros_like(forced)
                tokens[:steps, 0] = [next(ids) for _ in range(steps)]
                return tokens, token, state

            monkeypatch.setattr(generation, "CHUNK", chunk)
            monkeypatch.setitem(model.__dict__, "generation_loop", loop)
            texts.add(model.generate(length=length or len(text), stop=stop))
        assert len(texts) == 1
        return texts.pop()

    return write


@pytest.mark.parametrize(
    "name, value, error",
    [
        *(("prompt", value, TypeError) for value in (None, 5, 1.5, b"abc", b"", ["a", None], [b"a"], {"a": 1}, {"a"})),
        *(("length", value, TypeError) for value in (1.0, True, "5", None)),
        ("length", -1, ValueError),
        *(("stop", value, ValueError) for value in ("", ["a", ""], [None], 5, b"a", [b"a"])),
        *(("seed", value, TypeError) for value in (1.5, "1", True)),
        ("seed", -1, ValueError),
        ("temperature", -1.0, ValueError),
        ("temperature", float("nan"), ValueError),
        ("top_k", CHARACTERS.vocabulary_size + 1, ValueError),
        ("top_p", 0, ValueError),
    ],
)
def test_errors_name_the_argument(name, value, error):
    for write in (make().generate, make().stream):
        with pytest.raises(error, match=f"`{name}` must"):
            write(**{name: value})


def test_a_stream_takes_one_prompt():
    with pytest.raises(TypeError, match="`prompt` must be a str"):
        make().stream(["abc"])


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_odd_texts(name, text, monkeypatch):
    monkeypatch.setattr(language_model, "SCORED_AT_ONCE", 64)
    model = make(name)
    new = model.generate(text, length=5, seed=1)
    assert len(new) == 5
    score = model.score(text)
    assert (score.tokens, score.characters) == (len(model.tokenizer.encode(text)), len(text))
    assert np.isfinite(score.nats) and (score.nats > 0 or not text)
    assert score.log_probabilities.shape == (score.tokens,)


@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_ten_megabytes_of_prompt(name):
    word = "a" * 10_000_000
    text = make(name).generate(["abc " * 2_500_000, word, "👩" * 2_500_000], length=5, temperature=0)
    assert [len(t) for t in text] == [5, 5, 5]
    assert text[1] == make(name).generate(word[: generation.PROMPT_LIMIT], length=5, temperature=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "lstm, bytes"])
def test_ten_megabytes_of_text_to_score(name):
    score = make(name).score("abc " * 2_500_000)
    assert score.tokens == score.characters == 10_000_000
    assert 0 < score.nats_per_token < 20


@pytest.mark.slow
def test_ten_thousand_prompts():
    texts = make().generate(["abc", ""] * 5000, length=5, temperature=0)
    assert len(texts) == 10_000
    assert set(texts[::2]) == {make().generate("abc", length=5, temperature=0)}


@pytest.mark.parametrize("name", ["lstm", "lstm, two layers, tied"])
def test_the_compiled_loop_sees_new_weights(name):
    model, other = make(name), make(name, seed=2)
    old = model.get_weights()
    before = model.generate("abc", length=50, temperature=0), model.score("abcdef").nats
    try:
        model.set_weights(other.get_weights())
        after = model.generate("abc", length=50, temperature=0), model.score("abcdef").nats
    finally:
        model.set_weights(old)
    assert after[0] == other.generate("abc", length=50, temperature=0) != before[0]
    assert after[1] == other.score("abcdef").nats != before[1]


@pytest.mark.parametrize("name", ["rnn", "gru, two layers", "lstm", "mlstm, two layers, weight normalization"])
def test_clamped_units_keep_their_values(name):
    model = make(name)
    clamp = {3: 2.0, 7: -1.5}
    step, state = step_of(model), model.initial_state(1)
    expected = []
    for token in (model.tokenizer.start_id, *model.tokenizer.encode("abc"), *[None] * 12):
        if token is None:
            logits[:, model.tokenizer.unknown_id] = -np.inf  # noqa: F821
            token = int(likeliest(logits)[0])  # noqa: F821
            expected.append(token)
        logits, state = step(np.array([token], "int32"), state)
        logits = np.array(ops.convert_to_numpy(logits))
        last = np.array(ops.convert_to_numpy(state[-1][-1]))
        last[:, list(clamp)] = list(clamp.values())
        if len(state[-1]) == 1:  # what is held is what the softmax sees
            logits = last @ ops.convert_to_numpy(model.output_layer.kernel) + ops.convert_to_numpy(
                model.output_layer.bias
            )
        state = (*state[:-1], (*state[-1][:-1], last))
    assert model.generate("abc", length=12, temperature=0, clamp=clamp) == model.tokenizer.decode(expected)
    free, held = (model.generate("abc", length=200, seed=1, clamp=c) for c in (None, clamp))
    assert free != held


@pytest.mark.parametrize("clamp", [
    {12: 1.0}, {-1: 1.0}, {"a": 1.0}, {1.5: 1.0}, {0: np.nan}, {0: np.inf}, {0: 1e300}, {0: "x"}, {0: None}, [1],
])  # fmt: skip
def test_impossible_clamps(clamp):
    with pytest.raises((ValueError, TypeError), match="`clamp`"):
        make().generate("a", length=1, clamp=clamp)
