import dataclasses
import functools
import json

import jsonschema
import keras
import numpy as np
import pytest
from keras import ops

from zoo.models import LanguageModel, LanguageModelConfig, language_model
from zoo.streams import Streams
from zoo.tokenizers import ByteTokenizer, CharacterTokenizer

TOKENIZER = CharacterTokenizer("\n abcdefgé")
VARIANTS = {
    "rnn": {},
    "lstm": {},
    "gru": {},
    "peephole": {},
    "mlstm": {},
    "rnn, tied": {"tied": True},
    "lstm, two layers": {"layers": 2},
    "gru, three layers, tied": {"layers": 3, "tied": True},
    "peephole, two layers, tied": {"layers": 2, "tied": True},
    "mlstm, weight normalization": {"weight_normalization": True},
    "mlstm, two layers, weight normalization, tied": {"layers": 2, "weight_normalization": True, "tied": True},
}
TOKENS = np.random.default_rng(1).integers(0, TOKENIZER.vocabulary_size, (2, 7)).astype("int32")
TEXT = "fade a cab\nbé gag " * 5


def config(name, **options):
    size = {"embedding_size": 6 if "tied" in name else 4, "units": 6}
    options = {"recurrent": name.partition(",")[0], **size, **VARIANTS[name], **options}
    return LanguageModelConfig(TOKENIZER.vocabulary_size, **options)


@functools.cache
def make(name="lstm", **options):
    """A model all of whose weights are random, biases, peepholes and gains too."""
    keras.utils.set_random_seed(1)
    model = LanguageModel(config(name, **options), TOKENIZER)
    random = np.random.default_rng(2)
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign_add(random.normal(scale=0.3, size=variable.shape))
    return model


def numpy(x):
    return ops.convert_to_numpy(x)


def log_softmax(logits):
    logits = logits.astype("float64")
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_weight_shapes_are_those_of_the_model(name):
    model = make(name)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_weights().items()}
    assert shapes == model.config.weight_shapes()
    assert list(shapes) == list(model.config.weight_shapes())
    assert len(shapes) == len(model.trainable_variables) == len(set(map(id, model.named_weights().values())))
    assert sum(np.prod(shape) for shape in shapes.values()) == model.count_params()


@pytest.mark.parametrize("name", VARIANTS)
def test_call_equals_forward_in_parts_and_steps_by_hand(name):
    model = make(name)
    logits = numpy(model(TOKENS))
    assert logits.shape == (2, 7, TOKENIZER.vocabulary_size)
    parts, state = [], model.initial_state(2)
    for part in (TOKENS[:, :3], TOKENS[:, 3:4], TOKENS[:, 4:]):
        some, state = model.forward(part, state)
        parts.append(numpy(some))
    np.testing.assert_allclose(np.concatenate(parts, 1), logits, rtol=1e-4, atol=1e-5)
    by_hand = model.initial_state(2)
    for t in range(2):
        step, by_hand = model.step(TOKENS[:, t], by_hand)
        np.testing.assert_allclose(numpy(step), logits[:, t], rtol=1e-4, atol=1e-5)
    assert np.abs(logits[0] - logits[1]).max() > 0.1


@pytest.mark.parametrize("name", ["lstm", "gru, three layers, tied"])
def test_masked_steps_leave_the_states_as_they_are(name):
    model = make(name)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    _, masked = model.forward(TOKENS, model.initial_state(2), mask)
    _, short = model.forward(TOKENS[:, :4], model.initial_state(2))
    _, whole = model.forward(TOKENS, model.initial_state(2))
    for m, s, w in zip(*map(keras.tree.flatten, (masked, short, whole))):
        np.testing.assert_allclose(numpy(m)[1], numpy(s)[1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(numpy(m)[0], numpy(w)[0], rtol=1e-5, atol=1e-6)


def test_initial_state_is_zeros_for_each_layer():
    state = make("lstm, two layers").initial_state(3)
    assert [[tuple(s.shape) for s in states] for states in state] == [[(3, 6)] * 2] * 2
    assert not any(numpy(s).any() for states in state for s in states)


@pytest.mark.parametrize("name", VARIANTS)
def test_score_is_the_log_softmax_of_each_token(name):
    model = make(name)
    tokens = TOKENIZER.encode(TEXT)
    logits = numpy(model(np.concatenate([[TOKENIZER.start_id], tokens[:-1]])[None]))[0]
    expected = np.take_along_axis(log_softmax(logits), tokens[:, None], -1)[:, 0]
    score = model.score(TEXT)
    np.testing.assert_allclose(score.log_probabilities, expected, rtol=1e-4, atol=1e-5)
    assert score.nats == pytest.approx(-expected.sum(), rel=1e-5)


def test_figures_of_a_score():
    tokenizer = ByteTokenizer()
    model = LanguageModel(LanguageModelConfig(256, units=4), tokenizer)
    score = model.score("aé👩")
    assert (score.tokens, score.characters) == (7, 3)
    assert score.nats_per_token == pytest.approx(score.nats / 7)
    assert score.nats_per_character == pytest.approx(score.nats / 3)
    assert score.bits_per_character == pytest.approx(score.nats / 3 / np.log(2))
    assert score.perplexity == pytest.approx(np.exp(score.nats / 7))


@pytest.mark.parametrize("size", [8, 16, 37])
def test_score_does_not_depend_on_padding_and_parts(size, monkeypatch):
    model = make("mlstm")
    whole, end = model.score(TEXT), model.score(TEXT[:-1])
    monkeypatch.setattr(language_model, "SCORED_AT_ONCE", size)
    calls = []
    parts = model.score(TEXT, progress=lambda *arguments: calls.append(arguments))
    np.testing.assert_allclose(parts.log_probabilities, whole.log_probabilities, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(end.log_probabilities, whole.log_probabilities[:-1], rtol=1e-5, atol=1e-6)
    assert parts.tokens == len(TEXT)
    assert calls == [(min(done + size, len(TEXT)), len(TEXT)) for done in range(0, len(TEXT), size)]


def test_score_of_nothing_and_of_lists():
    model = make()
    empty = model.score("")
    assert (empty.tokens, empty.characters, empty.nats) == (0, 0, 0.0)
    assert (empty.nats_per_token, empty.bits_per_character, empty.perplexity) == (0.0, 0.0, 1.0)
    assert model.score([]) == []
    scores = model.score(["abc", "", "ca"])
    assert [score.nats for score in scores] == [model.score(text).nats for text in ("abc", "", "ca")]


@pytest.mark.parametrize("text", [None, 5, b"abc", b"", ["a", None], {"a": 1}, [["a"]]])
def test_what_is_not_text_is_not_scored(text):
    with pytest.raises(TypeError, match="`text` must be a str, or a list of them"):
        make().score(text)


@pytest.mark.parametrize("name", [name for name in VARIANTS if "normalization" in name])
def test_folded_is_the_same_function(name):
    model = make(name)
    folded = model.folded()
    assert folded.config == dataclasses.replace(model.config, weight_normalization=False)
    assert set(folded.named_weights()) == set(folded.config.weight_shapes())
    np.testing.assert_allclose(numpy(folded(TOKENS)), numpy(model(TOKENS)), rtol=1e-4, atol=1e-5)
    assert folded.folded() is folded


def test_a_keras_file_gives_the_same_model(tmp_path):
    model = make("mlstm")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.generate("a", length=20, seed=1) == model.generate("a", length=20, seed=1)


def test_mean_loss_is_that_of_the_streams():
    model = make(dropout=0.5, embedding_dropout=0.5)  # which must be off
    streams = Streams(TOKENIZER.encode(TEXT), batch_size=2, steps=5, seed=3)
    batches = streams(epoch=0)
    inputs, targets = (np.concatenate(x, axis=1) for x in zip(*(batches[i] for i in range(len(batches)))))
    expected = -np.take_along_axis(log_softmax(numpy(model(inputs))), targets[..., None], -1).mean()
    assert model.mean_loss(streams) == pytest.approx(expected, rel=1e-5)
    assert model.mean_loss(streams) == model.mean_loss(streams)


def test_training_loss_without_dropout_is_the_mean_cross_entropy():
    model = make()
    state = model.forward(TOKENS, model.initial_state(2))[1]
    loss, new_state = model.training_loss((TOKENS[:, :-1], TOKENS[:, 1:]), state)
    logits, expected_state = model.forward(TOKENS[:, :-1], state)
    expected = -np.take_along_axis(log_softmax(numpy(logits)), TOKENS[:, 1:, None], -1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    for new, wanted in zip(*map(keras.tree.flatten, (new_state, expected_state))):
        np.testing.assert_allclose(numpy(new), numpy(wanted), rtol=1e-6)


@pytest.mark.parametrize("option", ["embedding_dropout", "dropout", "recurrent_dropout"])
def test_each_dropout_acts_in_training_alone(option):
    model, plain = make(**{option: 0.5}), make()
    model.set_weights([*plain.get_weights(), *model.get_weights()[len(plain.get_weights()) :]])
    state = model.initial_state(2)
    np.testing.assert_array_equal(numpy(model(TOKENS)), numpy(plain(TOKENS)))
    one, another = (numpy(model.forward(TOKENS, state, training=True)[0]) for _ in range(2))
    assert np.abs(one - another).max() > 0.01
    assert np.abs(one - numpy(plain(TOKENS))).max() > 0.01


@pytest.mark.parametrize("option", ["dropout", "embedding_dropout"])
def test_dropout_has_one_mask_for_all_timesteps(option, monkeypatch):
    model = make("rnn", units=40, embedding_size=40, **{option: 0.5})
    layer, seen = getattr(model.encoder, option), []
    call = layer.call
    monkeypatch.setattr(layer, "call", lambda *a, **k: seen.append(call(*a, **k)) or seen[-1])
    model.forward(TOKENS, model.initial_state(2), training=True)
    dropped = numpy(seen[0]) == 0
    assert 0.2 < dropped.mean() < 0.8
    assert (dropped == dropped[:, :1]).all()
    assert (dropped[0] != dropped[1]).any()


@pytest.mark.parametrize("recurrent, expected", [("lstm", 2.5), ("peephole", 2.5), ("mlstm", 2.5)])
def test_forget_bias(recurrent, expected):
    model = LanguageModel(config(recurrent, forget_bias=2.5), TOKENIZER)
    bias = numpy(model.named_weights()["recurrent_0/bias"])
    np.testing.assert_array_equal(bias, np.repeat([0, expected, 0, 0], 6))


def test_fit_of_stock_keras_learns():
    keras.utils.set_random_seed(1)
    model = LanguageModel(config("lstm, two layers", units=16), TOKENIZER)
    tokens = TOKENIZER.encode("abcdefg" * 60)[:416].reshape(32, 13)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.learning_rate = 0.05
    losses = model.fit(tokens[:, :-1], tokens[:, 1:], batch_size=8, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert model.generate("abc", length=8, temperature=0) == "defgabcd"


def test_config_round_trip():
    model = make("gru, three layers, tied")
    copy = LanguageModel.from_config(json.loads(json.dumps(model.get_config())))
    assert (copy.config, copy.tokenizer) == (model.config, model.tokenizer)


@pytest.mark.parametrize("name", VARIANTS)
def test_schema_accepts_what_there_is(name):
    record = json.loads(json.dumps(dataclasses.asdict(config(name))))
    properties = LanguageModel.schema
    jsonschema.validate(record, {"properties": properties, "required": list(properties), "additionalProperties": False})


@pytest.mark.parametrize(
    "options, message",
    [
        ({"recurrent": "transformer"}, "`recurrent` must be one of .*'mlstm'.* Received: recurrent='transformer'"),
        ({"tied": True, "units": 4, "embedding_size": 5}, "Received: embedding_size=5, units=4"),
        ({"weight_normalization": True}, "`weight_normalization` is for recurrent='mlstm'"),
    ],
)
def test_config_errors(options, message):
    with pytest.raises(ValueError, match=message):
        LanguageModelConfig(10, **options)


def test_vocabularies_must_agree():
    with pytest.raises(ValueError, match="config.vocabulary_size is 10, the tokenizer's 256"):
        LanguageModel(LanguageModelConfig(10), ByteTokenizer())
