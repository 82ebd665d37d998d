import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.errors import ZooError
from zoo.models import LanguageModel, LanguageModelConfig
from zoo.training import LOCK_FILE, STATE_FILE

ROOT = Path(__file__).parents[1]
WORDS = "the boat slow light by a quiet again".split()


def planted(count, names=("dull", "lovely"), seed=0):
    """Texts whose label is the one word that tells; all so short that one shape is compiled."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(count):
        words = list(random.choice(WORDS, random.integers(1, 4)))
        labels.append(names[i % len(names)])
        words.insert(random.integers(len(words) + 1), labels[-1])
        texts.append(" ".join(words))
    return texts, labels


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A language model that has learnt nothing."""
    folder = tmp_path_factory.mktemp("base") / "lm"
    config = LanguageModelConfig(256, "mlstm", units=24, embedding_size=16, weight_normalization=True)
    zoo.save(LanguageModel(config, zoo.tokenizers.ByteTokenizer("review")).folded(), folder)
    return folder


OPTIONS = {"epochs": 2, "batch_tokens": 1024, "longest": 128, "learning_rate": 1e-2, "report": lambda line: None}


@pytest.fixture(scope="module")
def run(base, tmp_path_factory):
    """A training that is complete, its folder and how it was called; two of its rows could not be used."""
    texts, labels = planted(42)
    labels[3], texts[5] = None, None
    how = {**OPTIONS, "data": (texts, labels), "bad_rows": "skip", "pooling": ("max",)}
    how["output"] = tmp_path_factory.mktemp("run")
    zoo.finetune(base, **how)
    return how


def write(path, texts, labels):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("body", "queue"), *zip(texts, labels)])
    return path


def test_it_learns_and_remembers_its_labels(base, tmp_path):
    texts, labels = planted(300, ("dull", "lovely", "odd"))
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    options = {**OPTIONS, "epochs": 8, "layer_decay": 1.0, "dropout": 0.0, "head_dropout": 0.0, "dtype": "float32"}
    data = write(tmp_path / "rows.csv", texts, labels)
    model = zoo.finetune(base, data, "body", "queue", output=tmp_path / "run", **options)
    assert model.config.labels == ("dull", "lovely", "odd")
    fresh, expected = planted(60, ("dull", "lovely", "odd"), seed=1)
    assert np.mean([r.label == e for r, e in zip(model.classify(fresh), expected)]) > 0.9
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    loaded = zoo.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.probabilities(fresh), model.probabilities(fresh))
    manifest = json.loads((tmp_path / "run" / "best" / "manifest.json").read_text())
    assert manifest["training"]["data"]["labels"] == {"dull": 100, "lovely": 100, "odd": 100}
    assert manifest["metrics"][0]["figures"]["accuracy"] > 0.9
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"best", STATE_FILE, LOCK_FILE, "log.csv", "loss.png"}


@pytest.mark.slow
def test_a_classifier_is_a_base_too_and_keeps_its_output_for_the_same_labels(run, tmp_path):
    first = zoo.load(run["output"])
    options = {**OPTIONS, "epochs": 1, "learning_rate": 0.0, "average": 0.0, "dtype": "float32"}
    same = zoo.finetune(run["output"], planted(40), output=tmp_path / "same", **options)
    assert same.config.pooling == ("max",)
    texts = planted(9)[0]
    np.testing.assert_allclose(same.probabilities(texts), first.probabilities(texts), atol=1e-6)
    other = zoo.finetune(run["output"], planted(40, ("x", "y")), output=tmp_path / "other", **options)
    assert other.config.pooling == ("last", "max", "mean")
    for name, weight in other.encoder.named_weights().items():
        np.testing.assert_array_equal(weight, first.encoder.named_weights()[name])


def test_layers_learn_at_their_rates_and_from_their_time_on(base, tmp_path):
    model = zoo.load(base)
    options = {**OPTIONS, "epochs": 1, "average": 0.0, "dtype": "float32"}
    late = zoo.finetune(base, planted(40), output=tmp_path / "late", unfreeze_epochs=1.0, **options)
    for name, weight in late.encoder.named_weights().items():
        np.testing.assert_array_equal(weight, model.named_weights()[name])
    decayed = zoo.finetune(base, planted(40), output=tmp_path / "decayed", layer_decay=0.01, **options)
    before, after = model.named_weights(), decayed.named_weights()
    moved = [
        np.abs(after[name] - before[name]).max() for name in ("embedding/embeddings", "recurrent_0/recurrent_kernel")
    ]
    assert 0 < moved[0] < moved[1] / 5


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_finetuning import tune
tune({base!r}, {output!r})
"""


def tune(base, output):
    zoo.finetune(base, planted(200), output=output, **{**OPTIONS, "epochs": 4})


@pytest.mark.slow  # as tests/recipes/test_char_lm.py, of the same loop
def test_killed_and_called_again_it_ends_with_the_same_weights(base, tmp_path):
    code = SCRIPT.format(tests=str(Path(__file__).parent), base=str(base), output=str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    log = tmp_path / "killed" / "log.csv"
    while not log.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    for run in ("whole", "killed"):
        tune(base, tmp_path / run)
    weights = [(tmp_path / run / "best" / "model.safetensors").read_bytes() for run in ("whole", "killed")]
    assert weights[0] == weights[1]


def test_other_data_or_settings_are_not_mixed_into_a_run(base, run):
    with pytest.raises(ZooError, match="other settings"):
        zoo.finetune(base, **{**run, "data": planted(44)})
    with pytest.raises(ZooError, match="other settings.*longest: 128, now 64"):
        zoo.finetune(base, **{**run, "longest": 64})


@pytest.mark.parametrize("data, options, message", [
    ((["a", "b"], ["x", "x"]), {}, "two labels or more"),
    ((["a", "b", "c"], ["x", "x", "y"]), {}, "Only one has: y"),
    (([], []), {}, "two labels or more"),
    ((["a", "b"] * 2, ["x", "y\x07"] * 2), {}, "printable characters"),
    ((["a", None], ["x", "y"]), {}, "Line 2: the text is None"),
    ((["a", "b"], ["x", None]), {}, "Line 2: there is no label"),
    ((["a", ""] * 2, ["x", "y"] * 2), {}, "Line 2: the text is empty"),
    (planted(20), {"class_weights": {"dull": 1}}, "`class_weights` must be"),
    (planted(20), {"class_weights": {"dull": 1, "lovely": "a"}}, "`class_weights` must be"),
    (planted(20), {"class_weights": {"dull": 1, "lovely": -1}}, "`class_weights` must be"),
])  # fmt: skip
def test_bad_input_is_an_error_and_leaves_nothing_that_blocks_the_next_try(base, tmp_path, data, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.finetune(base, data, output=tmp_path / "run", **{**OPTIONS, **options})
    zoo.training.claim_folder(tmp_path / "run")


@pytest.mark.parametrize("option, value", [
    ("bad_rows", "ignore"), ("dtype", "bf16"), ("validation", 0), ("validation", 1), ("pooling", ("sum",)),
    ("pooling", "last"), ("pooling", None), ("epochs", 0), ("epochs", 1.5), ("patience", 0), ("average", 1.5),
    ("longest", 0), ("batch_tokens", 0), ("seed", -1), ("seed", 1.5), ("learning_rate", -1), ("layer_decay", 2),
    ("hidden_units", -1), ("head_dropout", 1.0), ("recurrent_dropout", 2), ("checkpoint_minutes", -1),
])  # fmt: skip
def test_senseless_options_are_refused_before_anything_is_written(base, tmp_path, option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be"):
        zoo.finetune(base, planted(20), output=tmp_path / "run", **{**OPTIONS, option: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option, value", [
    ("learning_rate", "a"), ("average", None), ("validation", "0.1"), ("dropout", "a"), ("pretrained", "no"),
    ("text_column", None), ("label_column", 3),
])  # fmt: skip
def test_options_of_the_wrong_type(base, tmp_path, option, value):
    with pytest.raises(TypeError, match=f"`{option}` must be"):
        zoo.finetune(base, planted(20), output=tmp_path / "run", **{**OPTIONS, option: value})
    assert not (tmp_path / "run").exists()


def test_the_base_by_another_way_is_the_same_base(base, run, monkeypatch):
    monkeypatch.chdir(base.parent)
    said = []
    zoo.finetune(f"./{base.name}", **{**run, "report": said.append})
    assert any(line.startswith("This training is complete") for line in said)


def test_all_rows_skipped_are_told(base, tmp_path):
    said = []
    with pytest.raises(ValueError, match="two labels or more"):
        options = {**OPTIONS, "report": said.append}
        zoo.finetune(base, (["a", "b"], [None, None]), output=tmp_path / "run", bad_rows="skip", **options)
    assert [line.split(":")[1] for line in said] == [" Line 1", " Line 2"]


def test_bad_rows_can_be_skipped_and_are_listed(run):
    listed = (run["output"] / "skipped.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in listed] == ["Line 4", "Line 6"]


def test_a_folder_with_other_things_is_left_alone(base, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError):
        zoo.finetune(base, planted(40), output=tmp_path, **OPTIONS)
    assert hashlib.sha256((tmp_path / "letter.txt").read_bytes()).hexdigest() == hashlib.sha256(b"dear").hexdigest()


def test_balanced_weights_count_labels_alike(base, tmp_path):
    from zoo.finetuning import _class_weights

    class Known:
        names = ("a", "b")
        labels = np.array([0] * 30 + [1] * 10)

    weights = _class_weights("balanced", Known, np.arange(40))
    assert weights[0] * 30 == weights[1] * 10 == 20
    assert _class_weights({"b": 3, "a": 1}, Known, np.arange(40)).tolist() == [1, 3]
