import csv
import json
import shlex

import keras
import numpy as np
import pytest

import zoo
from recipes import sentiment

WORDS = "the film was a gem dull plot acting great awful we loved hated it &amp; never<br />again".split()


@pytest.fixture(autouse=True)
def float32():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "reviews.csv"
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        texts = (" ".join(random.choice(WORDS, random.integers(5, 30))) for _ in range(300))
        csv.writer(file).writerows([("body",), *((text,) for text in texts)])
    return path


SMOKE = "--text-column body --units 12 --embedding-size 8 --batch-size 4 --steps 16 --parts 3".split()


@pytest.fixture(scope="module")
def pretrained(reviews, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "lm"
    sentiment.main(["pretrain", "--data", str(reviews), *SMOKE, "--epochs", "4", "--output", str(output)])
    return output


def test_pretrain(pretrained):
    manifest = json.loads((pretrained / "best" / "manifest.json").read_text())
    model = zoo.load(pretrained)
    assert (model.config.recurrent, model.config.units, model.config.weight_normalization) == ("mlstm", 12, False)
    assert model.tokenizer.preparation == "review"
    history = manifest["training"]["history"]
    assert [h["epoch"] for h in history] == [1, 2, 3, 4]
    assert history[-1]["validation"] < history[0]["validation"] < 5
    (metric,) = manifest["metrics"]
    score = model.score((pretrained / "held-back.txt").read_text())
    assert metric["figures"] == {"bits_per_byte": score.bits_per_byte}
    assert metric["command"] == "zoo evaluate lm --text held-back.txt"


def test_the_command_of_the_manifest_gives_the_same_settings(pretrained, reviews):
    manifest = json.loads((pretrained / "best" / "manifest.json").read_text())
    options, _ = sentiment.arguments(shlex.split(manifest["training"]["command"])[2:])
    line = ["pretrain", "--data", reviews.name, *SMOKE, "--epochs", "4", "--output", "runs/lm"]
    assert options == sentiment.arguments(line)[0]


def test_the_model_gives_features_and_text(pretrained):
    model = zoo.load(pretrained)
    assert model.features(["a gem", "dull"]).shape == (2, 12)
    assert len(model.generate("\n The film", length=20, seed=1)) == 20
