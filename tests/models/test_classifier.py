import dataclasses
import functools

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from tests.odd_texts import ODD
from zoo.backend import training_step
from zoo.distinct import distinct
from zoo.models import Classifier, ClassifierConfig
from zoo.models.classifier import POOLING
from zoo.tokenizers import ByteTokenizer

TEXTS = ["A gem.", "", "é" * 40, "So dull, so long. " * 40, "x"]
LABELS = ("bad", "good", "odd")


def make(recurrent="mlstm", pooling=POOLING, tokenizer=None, **options):
    config = ClassifierConfig(256, recurrent, units=6, embedding_size=5, labels=LABELS, pooling=pooling, **options)
    model = Classifier(config, tokenizer or ByteTokenizer())
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


def numpy(x):
    return ops.convert_to_numpy(x)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("pooling", [*((p,) for p in POOLING), POOLING])
def test_probabilities_are_the_equations(pooling, layers):
    model = make(pooling=pooling, layers=layers, hidden_units=4)
    weights = {name: numpy(w) for name, w in model.named_weights().items()}
    for text, found in zip(TEXTS, model.probabilities(TEXTS)):
        tokens = model.tokenizer.encode(text)
        hidden, state = model.encoder(tokens[None], model.encoder.initial_state(1))
        hidden, (last, cell) = numpy(hidden)[0], (numpy(s)[0] for s in state[-1])
        nothing = np.zeros(6)
        pools = {
            "last": last,
            "cell": cell,
            "max": hidden.max(0) if len(hidden) else nothing,
            "mean": hidden.mean(0) if len(hidden) else nothing,
        }
        x = np.concatenate([pools[p] for p in pooling])
        x = np.maximum(x @ weights["hidden/kernel"] + weights["hidden/bias"], 0)
        expected = softmax(x @ weights["output/kernel"] + weights["output/bias"])
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("recurrent", ["rnn", "lstm", "gru", "peephole", "mlstm"])
def test_padding_and_batching_change_nothing(recurrent):
    model = make(recurrent)
    alone = np.concatenate([model.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(model.probabilities(TEXTS), alone, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.probabilities(TEXTS, batch_size=2), alone, rtol=1e-4, atol=1e-6)
    tokens = np.zeros((2, 30), "int32")
    tokens[0, :6] = model.tokenizer.encode(TEXTS[0])
    mask = np.arange(30) < np.array([[6], [0]])
    np.testing.assert_allclose(softmax(numpy(model(tokens, mask))), alone[:2], rtol=1e-4, atol=1e-6)


def test_classify():
    model = make()
    results = model.classify(TEXTS)
    assert [r.label for r in results] == [LABELS[i] for i in model.probabilities(TEXTS).argmax(1)]
    for result in results:
        assert tuple(result.probabilities) == LABELS
        assert result.probability == max(result.probabilities.values()) == result.probabilities[result.label]
        assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert model.classify(TEXTS[0]).label == results[0].label
    assert model.classify([]) == []
    assert model.probabilities(TEXTS[0]).shape == (1, 3)
    for batch_size in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="`batch_size` must be"):
            model.classify(TEXTS, batch_size=batch_size)
        with pytest.raises(ValueError, match="`batch_size` must be"):
            model.features(TEXTS, batch_size=batch_size)
    for wrong in (None, 5, [b"a"], ["a", None]):
        with pytest.raises(TypeError, match="`texts` must be a str"):
            model.classify(wrong)


@functools.cache
def shared():
    return make()


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_texts(text):
    result = shared().classify(text)
    assert result.label in LABELS and sum(result.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_odd_texts_do_not_disturb_each_other():
    model, texts = shared(), list(ODD.values())
    alone = np.concatenate([model.probabilities(text) for text in texts])
    np.testing.assert_allclose(model.probabilities(texts), alone, atol=1e-5)


@pytest.mark.slow
def test_ten_megabytes_and_ten_thousand_texts():
    results = shared().classify(["a" * 10_000_000, "fine " * 2_000_000])
    assert all(np.isfinite(result.probability) for result in results)
    many = shared().probabilities(["abc", ""] * 5000)
    assert many.shape == (10_000, 3) and np.ptp(many[::2], axis=0).max() < 1e-6


@pytest.mark.parametrize("tokenizer", [ByteTokenizer("review"), zoo.tokenizers.SubwordTokenizer(("Ġ d", "Ġd u"))])
def test_the_trace_ends_with_the_classification(tokenizer):
    config = dataclasses.replace(make().config, vocabulary_size=tokenizer.vocabulary_size)
    model = Classifier(config, tokenizer)
    text = "So dull, é " + "and dull " * 60
    trace = model.trace(text)
    assert "".join(trace.pieces) == tokenizer.decode(tokenizer.encode_document(text))
    assert len(trace.probabilities) == len(trace.pieces) < len(tokenizer.encode_document(text))
    np.testing.assert_allclose(trace.probabilities[-1], model.probabilities([text])[0], rtol=1e-4, atol=1e-6)
    before = "So dull,"
    position = len("".join(trace.pieces).split("dull,")[0] + "dull,")
    pieces = next(i for i in range(len(trace.pieces)) if len("".join(trace.pieces[: i + 1])) == position)
    prefix = tokenizer.encode_document(before)
    prefix = prefix if tokenizer.preparation == "plain" else prefix[:-1]  # without the space at the end
    logits = numpy(model(prefix[None]))[0]
    np.testing.assert_allclose(trace.probabilities[pieces], softmax(logits), rtol=1e-4, atol=1e-6)
    ((hidden, cell),), *_ = model.read(prefix[None], model.initial_carry(1))
    pooled = {"last": hidden, "cell": cell, "max": hidden, "mean": hidden}
    features = np.concatenate([numpy(pooled[name])[0] for name in model.config.pooling])
    kernel, bias = map(numpy, model.output_layer.weights)
    np.testing.assert_allclose(trace.moments[pieces], softmax(features @ kernel + bias), rtol=1e-4, atol=1e-6)


def test_features_are_the_final_cell_states():
    model = make(layers=2)
    for i, text in enumerate(TEXTS):
        tokens = model.tokenizer.encode(text)
        _, state = model.encoder(tokens[None], model.encoder.initial_state(1))
        np.testing.assert_allclose(model.features(TEXTS)[i], numpy(state[-1][1])[0], rtol=1e-4, atol=1e-6)
    assert model.features([]).shape == (0, 6)


def test_training_loss_weighs_rows_and_ignores_padding():
    model = make()
    tokens = np.zeros((3, 32), "int32")
    lengths, labels = np.array([6, 1, 0], "int32"), np.array([1, 2, 0], "int32")
    tokens[0, :6], tokens[1, :1] = model.tokenizer.encode(TEXTS[0]), model.tokenizer.encode("x")
    losses = [-np.log(model.probabilities([t])[0, label]) for t, label in ((TEXTS[0], 1), ("x", 2))]
    loss, _ = model.training_loss((tokens, lengths, labels, np.array([3.0, 1.0, 0.0], "float32")))
    assert float(loss) == pytest.approx((3 * losses[0] + losses[1]) / 4, rel=1e-4)


@pytest.mark.parametrize("embedding_dropout", [0.0, 0.3])
def test_distinct_tokens_train_as_plain_ones(embedding_dropout):
    """One step of plain gradient descent, from which the gradients can be read off."""
    tokens = np.random.default_rng(1).integers(0, 9, (3, 12)).astype("int32")
    others = np.array([12, 5, 1], "int32"), np.array([0, 2, 1], "int32"), np.ones(3, "float32")
    trained = []
    for inputs in (tokens, distinct(tokens)):
        keras.utils.set_random_seed(1)
        model = make("mlstm", layers=2, embedding_dropout=embedding_dropout)
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
        step, sync = training_step(model, optimizer, model.training_loss)
        loss, _ = step((inputs, *others), ())
        sync()
        trained.append([numpy(loss), *map(numpy, model.weights)])
    for plain, shared in zip(*trained):
        np.testing.assert_allclose(shared, plain, rtol=1e-4, atol=1e-6)


def test_a_classifier_on_another_model():
    model = make(hidden_units=3, head_dropout=0.5)
    other = Classifier.on(model, labels=("a", "b"), pooling=("cell",))
    assert (other.config.labels, other.config.pooling, other.config.hidden_units) == (("a", "b"), ("cell",), 0)
    np.testing.assert_array_equal(other.features(TEXTS), model.features(TEXTS))


@pytest.mark.parametrize("dtype, tolerance", [("float32", 0), ("float16", 2e-2)])
def test_checkpoint_round_trip(tmp_path, dtype, tolerance):
    model = make(layers=2, hidden_units=3, weight_normalization=True, tokenizer=ByteTokenizer("review"))
    assert set(model.named_weights()) == set(model.config.weight_shapes())
    zoo.save(model.folded(), tmp_path / "model", dtype=dtype)
    loaded = zoo.load(tmp_path / "model")
    assert loaded.config == dataclasses.replace(model.config, weight_normalization=False)
    assert loaded.tokenizer == model.tokenizer
    np.testing.assert_allclose(loaded.probabilities(TEXTS), model.probabilities(TEXTS), atol=tolerance + 1e-5)
    info = zoo.info(tmp_path / "model")
    assert (info["task"], info["model"]["labels"]) == ("text-classification", list(LABELS))


def test_a_keras_file_gives_the_same_model(tmp_path):
    model = make(tokenizer=zoo.tokenizers.SubwordTokenizer(()))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.probabilities(TEXTS), model.probabilities(TEXTS))


@pytest.mark.parametrize("options", [
    {"labels": ("one",)}, {"labels": ("a", "a")}, {"labels": ("a", "")},
    {"pooling": ()}, {"pooling": ("min",)}, {"pooling": ("max", "max")}, {"pooling": "max"},
    {"dropout": 1.0}, {"recurrent_dropout": -0.1}, {"head_dropout": float("nan")}, {"units": 0}, {"hidden_units": 1.5},
])  # fmt: skip
def test_impossible_configurations(options):
    with pytest.raises(ValueError, match=f"(`{next(iter(options))}`|A label) must be"):
        ClassifierConfig(256, **options)
