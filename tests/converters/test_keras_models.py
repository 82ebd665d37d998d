import io
import json
import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo
from zoo import cli, converters
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint

VOCABULARY = ["", "[UNK]", *"aeinst \n"]
TEXT = "a taste in\nistanbul"
TOKENS = len(VOCABULARY)
UNITS = 4


def random(model):
    """The model with weights that are not small, biases included."""
    draw = np.random.default_rng(0)
    model.set_weights([draw.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model


def stack(*after, recurrent="LSTM", count=1, sequences=False, tokens=TOKENS, mask_zero=False, **options):
    make = getattr(layers, recurrent)
    middle = [make(UNITS, return_sequences=sequences or i < count - 1, **options) for i in range(count)]
    model = keras.Sequential([keras.Input((None,)), layers.Embedding(tokens, 3, mask_zero=mask_zero), *middle, *after])
    return random(model)


def saved(model, path):
    model.save(path) if path.suffix == ".keras" else model.save_weights(path)
    return path


def ids(text):
    """As Keras' users look them up."""
    return np.array([[VOCABULARY.index(c) if c in VOCABULARY else 1 for c in text]])


def probabilities_of(model, text):
    """By the converted model, from the text."""
    logits = model(model.tokenizer.encode(text)[None])
    return ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32")))[0]


@pytest.mark.parametrize("recurrent, count, end", [
    ("LSTM", 1, ".keras"), ("LSTM", 2, ".weights.h5"), ("GRU", 2, ".keras"), ("GRU", 1, ".weights.h5"),
    ("SimpleRNN", 1, ".keras"),
])  # fmt: skip
def test_language_model(tmp_path, recurrent, count, end):
    dropout = layers.Dropout(0.1)
    model = stack(dropout, layers.Dense(TOKENS), recurrent=recurrent, count=count, sequences=True, stateful=False)
    found = converters.keras_lstm(saved(model, tmp_path / f"m{end}"), VOCABULARY)
    assert isinstance(found, zoo.models.LanguageModel) and found.config.layers == count
    logits = ops.convert_to_numpy(found(found.tokenizer.encode(TEXT)[None]))[0]
    np.testing.assert_allclose(logits, ops.convert_to_numpy(model(ids(TEXT)))[0, :, 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("end", [".keras", ".weights.h5"])
@pytest.mark.parametrize("recurrent, count, outputs", [("LSTM", 1, 3), ("LSTM", 2, 1), ("GRU", 1, 1)])
def test_classifier(tmp_path, recurrent, count, outputs, end):
    dense = layers.Dense(outputs, "sigmoid" if outputs == 1 else "softmax")
    model = stack(dense, recurrent=recurrent, count=count)
    labels = ["bad", "good", "odd"][: max(outputs, 2)]
    found = converters.keras_lstm(saved(model, tmp_path / f"m{end}"), VOCABULARY, labels)
    assert isinstance(found, zoo.models.Classifier) and list(found.config.labels) == labels
    expected = ops.convert_to_numpy(model(ids(TEXT)))[0]
    np.testing.assert_allclose(probabilities_of(found, TEXT)[-outputs:], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["GlobalMaxPooling1D", "GlobalAveragePooling1D"])
def test_pooling_and_a_hidden_layer_and_no_biases(tmp_path, pooling):
    head = [layers.Dense(5, "relu"), layers.Dropout(0.5), layers.Dense(2, use_bias=False), layers.Activation("softmax")]
    model = stack(getattr(layers, pooling)(), *head, recurrent="GRU", sequences=True, use_bias=False)
    found = converters.keras_lstm(saved(model, tmp_path / "m.keras"), VOCABULARY, ["a", "b"])
    expected = ops.convert_to_numpy(model(ids(TEXT)))[0]
    np.testing.assert_allclose(probabilities_of(found, TEXT), expected, rtol=1e-5, atol=1e-5)


def test_functional_model_on_bytes_by_the_command(tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    x = layers.GRU(UNITS, return_sequences=True)(layers.Embedding(256, 3, mask_zero=True)(tokens))
    x = layers.Activation("softmax")(layers.TimeDistributed(layers.Dense(256))(x))
    path = saved(model := random(keras.Model(tokens, x)), tmp_path / "m.keras")
    assert cli.main(["convert", "keras-lstm", str(path), str(tmp_path / "zoo")]) == 0
    found = zoo.load(tmp_path / "zoo")
    expected = ops.convert_to_numpy(model(np.array([list(b"caf\xc3\xa9")])))[0]
    np.testing.assert_allclose(probabilities_of(found, "café"), expected, rtol=1e-5, atol=1e-6)


def test_functional_model_with_padding(tmp_path):
    x = layers.Embedding(TOKENS, 3, mask_zero=True)(tokens := keras.Input((None,)))
    x = layers.Dropout(0.1)(layers.LSTM(UNITS, return_sequences=True)(x))
    x = layers.Dense(2, "softmax")(layers.GlobalAveragePooling1D()(layers.LSTM(UNITS, return_sequences=True)(x)))
    path = saved(model := random(keras.Model(tokens, x)), tmp_path / "m.keras")
    found = converters.keras_lstm(path, VOCABULARY, ["a", "b"])
    expected = ops.convert_to_numpy(model(np.pad(ids(TEXT), ((0, 0), (0, 3)))))[0]
    np.testing.assert_allclose(probabilities_of(found, TEXT), expected, rtol=1e-5, atol=1e-5)


def test_classifier_by_the_command(tmp_path):
    path = saved(model := stack(layers.Dense(1, "sigmoid"), mask_zero=True), tmp_path / "m.keras")
    (tmp_path / "v.json").write_text(json.dumps({c: i for i, c in enumerate(VOCABULARY)}))
    words = ["convert", "keras-lstm", path, tmp_path / "zoo", "--vocabulary", tmp_path / "v.json"]
    assert cli.main([*map(str, words), "--labels", "bad, good"]) == 0
    padded = np.pad(ids(TEXT), ((0, 0), (0, 3)))
    expected = ops.convert_to_numpy(model(padded))[0, 0]
    assert zoo.load(tmp_path / "zoo").classify(TEXT).probabilities["good"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("tokens, masks_zero, characters, unknown, order", [
    (["", "[UNK]", "a", "b"], True, "ab", "replace", [1, 2, 3]),
    (["[UNK]", "a", "b"], False, "ab", "replace", [0, 1, 2]),
    (["[UNK]", "a", "b"], True, "ab", "error", [0, 1, 2]),
    (["b", "a"], False, "ba", "error", [-1, 0, 1]),
    ({"a": 1, "b": 2}, True, "ab", "error", [0, 1, 2]),
    ({"b": 0, "a": 1, "[UNK]": 2}, False, "ba", "replace", [2, 0, 1]),
])  # fmt: skip
def test_tokenizer(tokens, masks_zero, characters, unknown, order):
    found, places = converters.text_models.tokenizer_of(tokens, 4 if len(tokens) == 4 else max(order) + 1, masks_zero)
    assert (found.characters, found.unknown, places) == (characters, unknown, order)


def test_a_vocabulary_without_unknown_characters(tmp_path):
    """A token is added that has no probability and that no text is encoded to."""
    model = stack(layers.Dense(3, "softmax"), tokens=3)
    found = converters.keras_lstm(saved(model, tmp_path / "m.weights.h5"), list("abc"))
    expected = ops.convert_to_numpy(model(np.array([[0, 2, 1]])))[0]
    np.testing.assert_allclose(probabilities_of(found, "acb")[-1], [0, *expected], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="not among the 3 characters"):
        found.tokenizer.encode("d")


@pytest.mark.parametrize("vocabulary, labels, message", [
    (None, None, "has 10 tokens.*--vocabulary"),
    (VOCABULARY[1:], None, "has 9 tokens, the model 10.*in the order of their ids"),
    ([*VOCABULARY[:-1], "the"], None, "'the', which is not one character"),
    ([*VOCABULARY[:-1], 7], None, "has 7, which is not"),
    ([*VOCABULARY[:-1], "a"], None, "must be distinct"),
    ({"a": 10}, None, "from 0 to 9"),
    ({"a": 1, "b": 1}, None, "distinct"),
    (VOCABULARY, None, "has 3 outputs and 10 tokens.*--labels"),
    (VOCABULARY, ["a", "b"], "outputs for 3 labels"),
    (VOCABULARY, ["a", "b", "b"], "all different"),
])  # fmt: skip
def test_what_the_user_must_say(tmp_path, vocabulary, labels, message):
    path = saved(stack(layers.Dense(3)), tmp_path / "m.keras")
    with pytest.raises(ValueError, match=message):
        converters.keras_lstm(path, vocabulary, labels)


def test_padding_that_is_a_character(tmp_path):
    path = saved(stack(layers.Dense(2), tokens=2, mask_zero=True), tmp_path / "m.keras")
    with pytest.raises(ValueError, match="skips token 0"):
        converters.keras_lstm(path, ["a", "b"])


@pytest.mark.parametrize("text", ["a b", "7", "[" * 100_000])
def test_a_vocabulary_that_is_none(tmp_path, text):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(ValueError, match="not JSON|must hold a list"):
        converters.read_vocabulary(tmp_path / "v.json")


def model_with(*middle):
    return keras.Sequential([keras.Input((None,)), layers.Embedding(TOKENS, 3), *middle])


def branched():
    x = layers.Embedding(TOKENS, 3)(side := keras.Input((None,)))
    return keras.Model(side, layers.Dense(3)(layers.Add()([layers.LSTM(UNITS)(x), layers.LSTM(UNITS)(x)])))


def two_outputs():
    x = layers.LSTM(UNITS)(layers.Embedding(TOKENS, 3)(side := keras.Input((None,))))
    return keras.Model(side, [layers.Dense(3)(x), x])


def called_twice():
    x = layers.Embedding(TOKENS, 3)(side := keras.Input((None,)))
    memory = layers.LSTM(3, return_sequences=True, name="twice")
    return keras.Model(side, layers.Dense(3)(layers.LSTM(3)(memory(memory(x)))))


def masked_by_hand():
    x = layers.Embedding(TOKENS, 3)(side := keras.Input((None,)))
    return keras.Model(side, layers.Dense(3)(layers.LSTM(3)(x, mask=ops.not_equal(side, 0))))


def always_training():
    x = layers.Embedding(TOKENS, 3)(side := keras.Input((None,)))
    return keras.Model(side, layers.Dense(3)(layers.LSTM(3, dropout=0.5, name="noisy")(x, training=True)))


def lstm(units=UNITS, **options):
    return layers.LSTM(units, name="memory", **options)


@pytest.mark.parametrize("make, message", [
    (lambda: [layers.Bidirectional(lstm())], "'bidirectional.*' is of the class Bidirectional. Supported: "),
    (lambda: [lstm(activation="relu")], "'memory' .LSTM. has activation='relu', and only 'tanh'"),
    (lambda: [lstm(recurrent_activation="hard_sigmoid")], "recurrent_activation='hard_sigmoid'"),
    (lambda: [lstm(go_backwards=True)], "go_backwards=True"),
    (lambda: [layers.GRU(UNITS, reset_after=False)], "reset_after=False"),
    (lambda: [layers.GRU(UNITS, return_sequences=True), lstm()], "'memory' .LSTM. cannot stand after a GRU"),
    (lambda: [layers.LSTM(5, return_sequences=True), lstm()], "one kind and size"),
    (lambda: [layers.Conv1D(4, 2), lstm()], "is of the class Conv1D"),
    (lambda: [lstm(), layers.Dense(4, "tanh")], "activation='tanh'"),
    (lambda: [lstm(), layers.Dense(4)], "activations of its Dense layers are linear, linear"),
    (lambda: [lstm(), layers.Dense(3, "sigmoid"), layers.Activation("relu")], "second after one Dense"),
    (lambda: [lstm(), layers.Dense(4, "relu"), layers.Dense(4, "relu")], "it has 3 Dense layers"),
    (lambda: [lstm(return_sequences=True)], "an output for every token"),
])  # fmt: skip
def test_layers_that_the_zoo_has_not(tmp_path, make, message):
    path = saved(model_with(*make(), layers.Dense(3)), tmp_path / "m.keras")
    with pytest.raises(IncompatibleCheckpoint, match=message):
        converters.keras_lstm(path, VOCABULARY, ["a", "b", "c"])


@pytest.mark.parametrize("make, message", [
    (branched, "is of the class Add"),
    (two_outputs, "not its one output"),
    (called_twice, "'twice' is not called once"),
    (masked_by_hand, "'not_equal.*' is of the class NotEqual"),
    (always_training, "'noisy' is not called once, on the output of the layer before it and nothing else"),
    (lambda: model_with(lstm()), "does not end with Dense"),
    (lambda: model_with(lstm(), layers.Dense(3, "sigmoid")), "activations of its Dense layers are sigmoid"),
    (lambda: keras.Sequential([keras.Input((None, 3)), lstm(), layers.Dense(3)]), "'memory' .LSTM. cannot stand first"),
    (lambda: keras.Sequential([model_with(lstm()), layers.Dense(3)]), "is of the class Sequential"),
])  # fmt: skip
def test_models_that_the_zoo_has_not(tmp_path, make, message):
    with pytest.raises(IncompatibleCheckpoint, match=message):
        converters.keras_lstm(saved(make(), tmp_path / "m.keras"), VOCABULARY, ["a", "b", "c"])


def test_a_language_model_that_the_zoo_has_not(tmp_path):
    path = saved(model_with(lstm(), layers.Dense(4, "relu"), layers.Dense(TOKENS)), tmp_path / "m.keras")
    with pytest.raises(IncompatibleCheckpoint, match="the output follows the last recurrent layer"):
        converters.keras_lstm(path, VOCABULARY)


def test_weights_that_the_zoo_has_not(tmp_path):
    for model, message in [
        (model_with(layers.Bidirectional(layers.LSTM(UNITS)), layers.Dense(3)), "'bidirectional' is of a class"),
        (model_with(layers.LSTM(UNITS), layers.Dense(4, "relu"), layers.Dense(3)), "Save the whole model"),
        (model_with(layers.GRU(UNITS, reset_after=False), layers.Dense(3)), "reset_after=True"),
    ]:
        model.save_weights(path := tmp_path / "m.weights.h5")
        with pytest.raises(IncompatibleCheckpoint, match=message):
            converters.keras_lstm(path, VOCABULARY, ["a", "b", "c"])


class Bomb:
    def __reduce__(self):
        return (open, ("canary", "w"))


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The members of a sound `.keras` file, and a function that writes and converts them."""
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(saved(stack(layers.Dense(3)), tmp_path / "sound.keras")) as file:
        members = {name: file.read(name) for name in file.namelist()}

    def convert(compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile("m.keras", "w", compression) as file:
            for name, data in members.items():
                file.writestr(name, data)
        return converters.keras_lstm(tmp_path / "m.keras", VOCABULARY, ["a", "b", "c"])

    return members, convert


def reconfigured(members, change):
    record = json.loads(members["config.json"])
    change(record)
    members["config.json"] = json.dumps(record).encode()


def test_code_in_the_configuration_is_not_run(archive):
    members, convert = archive
    code = "open('canary', 'w')"
    layer = layers.Lambda(eval(f"lambda x: {code}"), name="trap")
    reconfigured(members, lambda r: r["config"]["layers"].append(keras.saving.serialize_keras_object(layer)))
    with pytest.raises(IncompatibleCheckpoint, match="'trap' is of the class Lambda"):
        convert()
    foreign = {"module": "os", "class_name": "system", "registered_name": "x>LSTM", "config": {"name": "touch canary"}}
    reconfigured(members, lambda r: r["config"]["layers"].__setitem__(-1, foreign))
    with pytest.raises(IncompatibleCheckpoint, match="is of the class system"):
        convert()
    reconfigured(members, lambda r: r["config"]["layers"].__setitem__(-1, {**foreign, "class_name": "LSTM"}))
    with pytest.raises(IncompatibleCheckpoint, match="is of the class LSTM"):
        convert()
    reconfigured(members, lambda r: r.update(module="builtins", class_name="eval", config={"source": code}))
    with pytest.raises(IncompatibleCheckpoint, match="of the class 'eval'"):
        convert()
    (path := Path("pickle.keras")).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UnsafeCheckpoint, match="neither a .keras nor a .weights.h5 file"):
        converters.keras_lstm(path)
    assert not Path("canary").exists()


@pytest.mark.parametrize("config", [
    b"", b"[]", b"{}", b"\xff", b'{"class_name": "Sequential", "class_name": "Sequential", "config": {}}',
    b'{"class_name": "Sequential", "config": {"layers": [7]}}', b'{"a":' * 50_000, b'{"a":' * 600 + b"1" + b"}" * 600,
    b'{"class_name": "Sequential", "config": {"layers": [{"class_name": "LSTM", "config": {"name": 1e999}}]}}',
    b'{"class_name": "Functional", "config": {"layers": [{"class_name": "Dense", "module": "keras.layers", '
    b'"config": {"name": "d"}, "inbound_nodes": ' + b"[" * 400 + b"]" * 400 + b"}]}}",
    b'{"class_name": "Sequential", "config": {"layers": [{"class_name": "TimeDistributed", "module": "keras.layers", '
    b'"config": {"name": "d", "layer": {"class_name": "Dense", "module": "keras.layers", "config": 7}}}]}}',
])  # fmt: skip
def test_configurations_that_keras_does_not_write(archive, config):
    members, convert = archive
    members["config.json"] = config
    with pytest.raises((UnsafeCheckpoint, IncompatibleCheckpoint)):
        convert()


def test_bombs_and_damaged_archives(archive):
    members, convert = archive
    assert convert().config.units == UNITS
    with pytest.raises(UnsafeCheckpoint, match="is compressed"):
        convert(zipfile.ZIP_DEFLATED)
    members["../../canary"] = members["/tmp/canary"] = b"never looked at, nothing is extracted"
    assert convert().config.units == UNITS
    whole = Path("m.keras").read_bytes()
    assert not Path("../../canary").exists()
    for spoilt in (
        whole[: len(whole) // 2],
        whole[:4],
        whole.replace(members["model.weights.h5"][2000:2100], bytes(100)),
    ):
        assert spoilt != whole
        Path("m.keras").write_bytes(spoilt)
        with pytest.raises(UnsafeCheckpoint):
            converters.keras_lstm("m.keras", VOCABULARY, ["a", "b", "c"])
    with zipfile.ZipFile("m.keras", "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("config.json", "config.json", "model.weights.h5"):
            file.writestr(name, members[name])
    with pytest.raises(UnsafeCheckpoint, match="there twice"):
        converters.keras_lstm("m.keras")
    del members["model.weights.h5"]
    with pytest.raises(UnsafeCheckpoint, match="lacks config.json or model.weights.h5"):
        convert()
    members["model.weights.h5"] = b"x" * 1000
    with pytest.raises(UnsafeCheckpoint):
        convert()
    with pytest.raises(FileNotFoundError):
        converters.keras_lstm("nowhere.keras")


KERNEL = "layers/dense/vars/0"


def replaced(file, make):
    del file[KERNEL]
    make(file)


@pytest.mark.parametrize("spoil, message", [
    (lambda f: f[KERNEL].write_direct(np.full((UNITS, 3), np.nan, "float32")), "not finite"),
    (lambda f: f.__delitem__(KERNEL), "are not as Keras 3 writes them"),
    (lambda f: f.__delitem__("layers"), "no layers where Keras 3"),
    (lambda f: replaced(f, lambda f: f.create_group(KERNEL)), "are not as Keras 3"),
    (lambda f: replaced(f, lambda f: f.__setitem__(KERNEL, h5py.ExternalLink("other.h5", "/x"))), "is a link"),
    (lambda f: replaced(f, lambda f: f.__setitem__(KERNEL, h5py.SoftLink("/layers/dense/vars/1"))), "is a link"),
    (lambda f: replaced(f, lambda f: f.__setitem__(KERNEL, f["layers/dense/vars/1"])), "there twice"),
    (lambda f: replaced(f, lambda f: f.__setitem__(KERNEL, f["layers"])), "there twice"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, (4, 3), "f4", external=[("secret", 0, 48)])), "plainly"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, (2**20, 2**20), "f4")), "plainly"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, data=np.ones((64, 3)), compression="gzip")), "plainly"),
    (lambda f: replaced(f, lambda f: f.create_virtual_dataset(KERNEL, virtual())), "plainly"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, data=["a", "b"])), "not an array of floats"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, data=np.ones((UNITS, 3), "int8"))), "are not as Keras 3"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, data=np.ones((UNITS + 1, 3)))), "weights do not fit"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, data=np.full((UNITS, 3), 1e300))), "not finite"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, data=np.ones(3))), "not a matrix"),
    (lambda f: replaced(f, lambda f: f.create_dataset(KERNEL, (0, 3), "f4")), "is empty"),
])  # fmt: skip
def test_arrays_that_keras_does_not_write(tmp_path, archive, spoil, message):
    members, convert = archive
    (tmp_path / "secret").write_bytes(bytes(48))
    file = io.BytesIO(members["model.weights.h5"])
    with h5py.File(file, "r+") as opened:
        spoil(opened)
    members["model.weights.h5"] = file.getvalue()
    with pytest.raises((UnsafeCheckpoint, IncompatibleCheckpoint), match=message):
        convert()


def virtual():
    layout = h5py.VirtualLayout((UNITS, 3), "f4")
    layout[...] = h5py.VirtualSource("secret", "x", (UNITS, 3))
    return layout


def test_every_truncation_of_weights(tmp_path):
    path = saved(stack(layers.Dense(3)), tmp_path / "m.weights.h5")
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:length])
        with pytest.raises((UnsafeCheckpoint, IncompatibleCheckpoint)):
            converters.keras_lstm(path, VOCABULARY, ["a", "b", "c"])
