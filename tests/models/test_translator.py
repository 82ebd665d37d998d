"""The translator: its weights, its two ways to decode, padding, loss, files."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from zoo.models import Translator, TranslatorConfig
from zoo.models.encoder import RECURRENT
from zoo.models.translator_config import ATTENTION
from zoo.tokenizers import ByteTokenizer, SubwordTokenizer, TokenizerPair

BYTES = TokenizerPair(ByteTokenizer(), ByteTokenizer())
SOURCE = np.random.default_rng(0).integers(0, 254, (3, 6)).astype("int32")
TARGET = np.random.default_rng(1).integers(0, 254, (3, 5)).astype("int32")
LENGTHS = np.array([6, 3, 1], "int32")
MASK = np.arange(6) < LENGTHS[:, None]
VARIANTS = [
    {},
    {"attend": "after", "layers": 2},
    {"attention": "none"},
    {"attention": "none", "layers": 2, "recurrent": "gru", "tied": False},
    {"attention": "general", "layers": 3, "recurrent": "mlstm", "shared_embedding": True},
    {"attention": "normalized_additive", "recurrent": "peephole", "attend": "after"},
    {"attention": "scaled_dot", "recurrent": "rnn", "layers": 2},
]
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def make(**options):
    keras.utils.set_random_seed(1)
    model = Translator(TranslatorConfig(256, 256, **{"units": 8, "embedding_size": 4, **options}), BYTES)
    random = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(0.5 * random.standard_normal(weight.shape))
    return model


def array(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize("attention", ATTENTION)
def test_configuration_tells_the_weights(attention, recurrent, layers):
    for attend in ("before", "after"):
        config = TranslatorConfig(
            256, 256, recurrent, 8, layers, 4, attention, attend, shared_embedding=layers == 2, tied=layers == 1
        )
        model = Translator(config, BYTES)
        found = {name: tuple(weight.shape) for name, weight in model.named_weights().items()}
        assert list(found.items()) == list(config.weight_shapes().items())
        assert len(found) == len(model.weights)


@every_variant
def test_step_by_step_equals_all_at_once(variant):
    model = make(**variant)
    expected = array(model(SOURCE, TARGET, MASK))
    memory, states = model.encode(SOURCE, MASK)
    keys = model.project_keys(memory)
    for time in range(TARGET.shape[1]):
        logits, alignment, states = model.step(TARGET[:, time], states, memory, keys, MASK)
        np.testing.assert_allclose(array(logits), expected[:, time], rtol=1e-4, atol=1e-5)
        sums = array(alignment).sum(axis=1)
        np.testing.assert_allclose(sums, model.attends, rtol=1e-5)
        assert not array(alignment)[~MASK].any()


@every_variant
def test_padding_has_no_influence(variant):
    model = make(**variant)
    together = array(model(SOURCE, TARGET, MASK))
    other = np.where(MASK, SOURCE, 77)
    np.testing.assert_array_equal(array(model(other, TARGET, MASK)), together)
    for row, length in enumerate(LENGTHS):
        alone = array(model(SOURCE[row : row + 1, :length], TARGET[row : row + 1]))
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4, atol=1e-5)


@every_variant
def test_every_weight_learns(variant):
    """Nothing stands beside the way from the loss to the weights."""
    model = make(**variant)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    before = [array(weight).copy() for weight in model.weights]
    step, sync = zoo.backend.training_step(model, optimizer, model.training_loss, jit_compile=False)
    step((SOURCE, LENGTHS, TARGET, np.array([5, 4, 2], "int32")), ())
    sync()
    for weight, old in zip(model.weights, before):
        changed = (array(weight) != old).mean()
        # At a first step nothing has been fed back yet, so softmax-invariant score biases and the like may stay.
        assert changed > 0, weight.path


def test_loss_in_numpy():
    model = make()
    lengths = np.array([5, 4, 2], "int32")
    logits = array(model(SOURCE, TARGET[:, :-1], MASK)).astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_p, TARGET[:, 1:, None], axis=-1)[..., 0]
    seen = np.arange(1, 5) < lengths[:, None]
    smoothed = 0.8 * losses - 0.2 * log_p.mean(-1)
    batch = SOURCE, LENGTHS, TARGET, lengths
    loss, carry = model.training_loss(batch, "carried", label_smoothing=0.2)
    assert carry == "carried"
    np.testing.assert_allclose(float(loss), smoothed[seen].mean(), rtol=1e-5)
    more = tuple(np.concatenate([x, np.zeros_like(x)]) for x in batch)  # rows without tokens
    np.testing.assert_allclose(float(model.training_loss(more, label_smoothing=0.2)[0]), float(loss), rtol=1e-5)
    np.testing.assert_allclose(model.mean_loss(lambda epoch: [batch, more]), losses[seen].mean(), rtol=1e-5)


def test_dropout_is_for_training_alone():
    model = make(embedding_dropout=0.3, dropout=0.3, recurrent_dropout=0.3)
    np.testing.assert_array_equal(array(model(SOURCE, TARGET)), array(model(SOURCE, TARGET)))
    assert np.any(array(model(SOURCE, TARGET, training=True)) != array(model(SOURCE, TARGET, training=True)))


@every_variant
def test_checkpoint_round_trip(variant, tmp_path):
    """It reloads with its vocabulary (keras#16651 and its like)."""
    model = make(**variant)
    zoo.save(model, tmp_path / "model")
    loaded = zoo.load(tmp_path / "model")
    assert loaded.config == model.config
    assert loaded.tokenizer == model.tokenizer
    np.testing.assert_array_equal(array(loaded(SOURCE, TARGET, MASK)), array(model(SOURCE, TARGET, MASK)))


def test_keras_file_round_trip(tmp_path):
    model = make(attend="after")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.translate("Hallo") == model.translate("Hallo")


def test_a_pair_of_vocabularies_must_fit(tmp_path):
    subwords = SubwordTokenizer.of(["la la la"], vocabulary_size=258)
    with pytest.raises(ValueError, match=r"\(256, 256\), those of the tokenizer \(258, 256\)"):
        Translator(TranslatorConfig(256, 256, units=8), TokenizerPair(subwords, ByteTokenizer()))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"units": 7}, "`units` must be even"),
        ({"units": 0}, "`units` must be a positive int"),
        ({"attention": "bilinear"}, "`attention` must be one of .*additive.*none"),
        ({"attend": "during"}, "`attend` must be one of"),
        ({"recurrent": "qrnn"}, "`recurrent` must be one of"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"shared_embedding": True, "target_vocabulary_size": 300}, "is for one vocabulary"),
    ],
)
def test_bad_configurations(options, message):
    with pytest.raises(ValueError, match=message):
        TranslatorConfig(**{"source_vocabulary_size": 256, "target_vocabulary_size": 256, **options})
