"""What is exported does what the model does, where there is no zoo."""

import json
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import zoo
from tests import reversing
from zoo.exporting.one_step import one_step
from zoo.models.encoder import RECURRENT

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="formats of TensorFlow")
TEXTS = [
    "I loved the first half, then it fell apart.",
    "  two  spaces\n\n  and tabs\t\tx  ",
    "",
    "It's we'll they'd 123abc 4 5!!! ---",
    "né ÜBER ßtraße 東京 \u00a0\u00a0x 👩\u200d👩\u200d👧 \u2003 y",
    "'s'S aaaaaaa hahahahaha end   ",
]
CORPUS = ["hello wide world, hello again", *TEXTS] * 3


def noisy(model):
    random = np.random.default_rng(0)
    for weight in model.named_weights().values():
        weight.assign(random.normal(0.0, 0.5, weight.shape))
    return model


def language_model(tokenizer=None, **options):
    tokenizer = tokenizer or zoo.tokenizers.CharacterTokenizer.of("hello wide world\n")
    options = {"units": 6, "embedding_size": 3, **options}
    config = zoo.models.LanguageModelConfig(tokenizer.vocabulary_size, **options)
    return noisy(zoo.models.LanguageModel(config, tokenizer))


def classifier(tokenizer=None, **options):
    tokenizer = tokenizer or zoo.tokenizers.ByteTokenizer()
    options = {"units": 5, "embedding_size": 3, "labels": ("bad", "good", "odd"), **options}
    return noisy(zoo.models.Classifier(zoo.models.ClassifierConfig(tokenizer.vocabulary_size, **options), tokenizer))


def stepped(step, tokens):
    """The probabilities after each token of one sequence."""
    states = {name: np.zeros((1, *x.shape[1:]), "float32") for name, x in step.input.items() if name != "token"}
    states |= {name: np.full_like(state, -np.inf) for name, state in states.items() if name == "highest"}
    for token in tokens:
        found = {k: keras.ops.convert_to_numpy(v) for k, v in step({"token": np.array([token]), **states}).items()}
        states = {name: found[name] for name in states}
        yield found["probabilities"][0]


@pytest.mark.parametrize("options", [
    *({"recurrent": name, "layers": 2} for name in RECURRENT),
    {"recurrent": "mlstm", "weight_normalization": True},
    {"tied": True, "units": 4, "embedding_size": 4},
], ids=str)  # fmt: skip
def test_one_step_of_a_language_model(options, tmp_path):
    model = language_model(**options)
    zoo.export(model, tmp_path / "model.keras")
    step = keras.models.load_model(tmp_path / "model.keras")
    modules = {type(layer).__module__.split(".")[0] for layer in step.layers}
    assert modules == {"keras"}
    tokens = model.tokenizer.encode("hello")
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model(tokens[None])))[0]
    np.testing.assert_allclose(list(stepped(step, tokens)), expected, atol=1e-6)


@pytest.mark.parametrize("options", [
    {"pooling": ("last", "max", "mean")},
    {"recurrent": "mlstm", "pooling": ("cell",), "hidden_units": 4},
], ids=str)  # fmt: skip
def test_one_step_of_a_classifier(options):
    model = classifier(**options)
    tokens = model.tokenizer.encode("so so")
    expected = [model.probabilities("so so"[: i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(list(stepped(one_step(model), tokens)), expected, atol=1e-6)


@tensorflow_only
@pytest.mark.parametrize("make", [language_model, classifier])
def test_litert_has_built_in_operations_only(make, tmp_path):
    import tensorflow as tf

    model = make(recurrent="peephole")
    zoo.export(model, tmp_path / "model.tflite", format="litert")
    with warnings.catch_warnings(action="ignore"):  # that the interpreter has a package of its own now
        interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    assert not any("Flex" in operation["op_name"] for operation in interpreter._get_ops_details())
    runner, step = interpreter.get_signature_runner(), one_step(model)
    states = {name: np.zeros((1, *x.shape[1:]), "float32") for name, x in step.input.items() if name != "token"}
    states |= {name: np.full_like(state, -np.inf) for name, state in states.items() if name == "highest"}
    tokens = model.tokenizer.encode("he who")
    for token, expected in zip(tokens, stepped(step, tokens)):
        found = runner(token=np.array([token], "int32"), **states)
        states = {name: found[name] for name in states}
        np.testing.assert_allclose(found["probabilities"][0], expected, atol=1e-6)


ELSEWHERE = """
import json, sys
import tensorflow as tf
found = {}
for name, arguments in json.loads(sys.argv[1]).items():
    kinds = {str: tf.string, int: tf.int32, float: tf.float32}
    tensors = {}
    for key, value in arguments.items():
        first = value
        while isinstance(first, list):
            first = first[0]
        tensors[key] = tf.constant(value, kinds[type(first)])
    result = tf.saved_model.load(name).signatures["serving_default"](**tensors)
    found[name] = {key: value.numpy().tolist() for key, value in result.items()}
print(json.dumps(found, default=lambda data: data.decode(errors="replace")))
assert "zoo" not in sys.modules
"""


@tensorflow_only
def test_saved_models_where_there_is_no_zoo(tmp_path):
    subwords = zoo.tokenizers.SubwordTokenizer.of(CORPUS, 300, lowercase=True)
    prepared = zoo.tokenizers.SubwordTokenizer(subwords.merges, True, "review")
    models = {
        "characters": language_model(recurrent="mlstm"),
        "bytes": classifier(recurrent="gru"),
        "subwords": classifier(subwords),
        "prepared": classifier(prepared),
        "translator": noisy(reversing.untrained()),
    }
    prompts = {"prompts": ["hello", "", "wide?"], "length": 12, "temperature": 0.0, "seed": [1, 2]}
    reviews = [*TEXTS, "Fish &amp; chips.<br /><br />Again! "]
    arguments = {name: {"texts": reviews} for name in models} | {"characters": prompts}
    sources = ["abc", "", "a  b", "é"]
    arguments["translator"] = {"texts": sources}
    for name, model in models.items():
        zoo.export(model, tmp_path / name, format="savedmodel")
    words = [sys.executable, "-I", "-c", ELSEWHERE, json.dumps({str(tmp_path / k): v for k, v in arguments.items()})]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    found = {name: json.loads(done.stdout)[str(tmp_path / name)] for name in models}
    written = models["characters"].generate(prompts["prompts"], length=12, temperature=0)
    assert found["characters"]["texts"] == written
    for name in ("bytes", "subwords", "prepared"):
        expected = models[name].classify(reviews)
        assert found[name]["label"] == [one.label for one in expected]
        np.testing.assert_allclose(found[name]["probability"], [one.probability for one in expected], atol=1e-5)
    translations = [" ".join(text.split()) for text in found["translator"]["translations"]]
    assert translations == models["translator"].translate(sources, beam_width=1)


@tensorflow_only
def test_tokenizers_in_the_graph():
    import tensorflow as tf

    from zoo.exporting.graph_tokenizers import graph_tokenizer

    for tokenizer in (
        zoo.tokenizers.ByteTokenizer(),
        zoo.tokenizers.CharacterTokenizer.of("hello wide world\n"),
        zoo.tokenizers.SubwordTokenizer.of(CORPUS, 320),
        zoo.tokenizers.SubwordTokenizer.of(CORPUS, 290, lowercase=True),
        zoo.load("mlstm-sentiment").tokenizer,
    ):
        encode = graph_tokenizer(tokenizer)
        found = encode(tf.constant(TEXTS)).to_list()
        assert found == [tokenizer.encode(text).tolist() for text in TEXTS]
        known = tokenizer.encode("hello world")
        assert encode.decode(known[None])[0].numpy().decode() == tokenizer.decode(known)


@tensorflow_only
def test_nothing_to_write(tmp_path):
    import tensorflow as tf

    zoo.export(noisy(reversing.untrained()), tmp_path / "translator", format="savedmodel")
    serve = tf.saved_model.load(tmp_path / "translator").signatures["serving_default"]
    assert serve(tf.constant(["", "  "]))["translations"].numpy().tolist() == [b"", b""]
    zoo.export(language_model(), tmp_path / "writer", format="savedmodel")
    serve = tf.saved_model.load(tmp_path / "writer").signatures["serving_default"]
    nothing = {"length": tf.constant(0), "temperature": tf.constant(1.0), "seed": tf.constant([1, 2])}
    assert serve(prompts=tf.constant(["he", ""]), **nothing)["texts"].numpy().tolist() == [b"", b""]


def test_bad_wishes(tmp_path):
    model = language_model()
    with pytest.raises(ValueError, match="`format`"):
        zoo.export(model, tmp_path / "x", format="onnx")
    with pytest.raises(ValueError, match=r"\.keras"):
        zoo.export(model, tmp_path / "x")
    (tmp_path / "x.keras").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        zoo.export(model, tmp_path / "x.keras")
    assert (tmp_path / "x.keras").read_bytes() == b"mine"
    with pytest.raises(ValueError, match="savedmodel"):
        zoo.export(reversing.untrained(), tmp_path / "y.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["x.keras"]
