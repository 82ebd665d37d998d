import csv
import json
import shlex
import shutil

import keras
import numpy as np
import pytest

import zoo
from recipes import sentiment
from zoo.evaluation import evaluate
from zoo.rows import rows

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


def test_pretrain_on_subwords_with_sampled_softmax(reviews, tmp_path):
    options = "--tokenizer subwords --vocabulary-size 290 --lowercase --samples 40 --recurrent lstm --layers 2 --tied"
    options = [*SMOKE, *options.split(), "--embedding-size", "12", "--epochs", "3", "--batch-size", "2"]
    sentiment.main(["pretrain", "--data", str(reviews), *options, "--output", str(tmp_path / "lm")])
    model = zoo.load(tmp_path / "lm")
    assert 256 < model.tokenizer.vocabulary_size <= 290 and model.tokenizer.lowercase
    assert (model.config.recurrent, model.config.layers, model.config.tied) == ("lstm", 2, True)
    manifest = json.loads((tmp_path / "lm" / "best" / "manifest.json").read_text())
    history = manifest["training"]["history"]
    assert history[-1]["validation"] < history[0]["validation"] < np.log(290)
    said, _ = sentiment.arguments(shlex.split(manifest["training"]["command"])[2:])
    asked, _ = sentiment.arguments(["pretrain", "--data", reviews.name, *options, "--output", "runs/lm"])
    assert said == asked


@pytest.fixture
def labelled(tmp_path):
    random = np.random.default_rng(1)
    for name in ("train.csv", "test.csv"):
        with (tmp_path / name).open("w", newline="") as file:
            write = csv.writer(file)
            write.writerow(("text", "label"))
            for i in range(120):
                words = [*random.choice(WORDS[:9], random.integers(0, 3)), "awful" if i % 2 else "gem"]
                write.writerow((" ".join(words), i % 2))  # all so short that one shape is compiled
    return tmp_path


def test_probe(pretrained, labelled, capsys):
    line = ["probe", str(pretrained), "--data", str(labelled / "train.csv"), "--test", str(labelled / "test.csv")]
    sentiment.main([*line, "--output", str(labelled / "probe"), "--store", "float32"])
    manifest = json.loads((labelled / "probe" / "best" / "manifest.json").read_text())
    test, train = (metric["figures"] for metric in manifest["metrics"])
    assert train["units_used"] <= 12 and 0 <= train["best_unit"] < 12
    assert (labelled / "probe" / f"unit-{train['best_unit']:.0f}.png").exists()
    classifier = zoo.load(labelled / "probe")
    assert classifier.config.pooling == ("cell",) and classifier.config.labels == ("0", "1")
    with (labelled / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = [r.label == row["label"] for r, row in zip(classifier.classify([row["text"] for row in rows]), rows)]
    assert np.mean(right) == pytest.approx(test["accuracy"], abs=0.01)
    assert "best unit" in capsys.readouterr().out
    sentiment.main([*line, "--output", str(labelled / "probe")])  # from the features that it kept
    with pytest.raises(FileExistsError, match="is the folder of a training"):
        sentiment.main([*line, "--output", str(pretrained)])


TUNE = "--longest 32 --batch-tokens 512 --epochs 9 --learning-rate 0.03 --layer-decay 1".split()
TUNE += "--head-dropout 0 --average 0".split()


def test_finetune(pretrained, labelled, capsys):
    train, test = str(labelled / "train.csv"), str(labelled / "test.csv")
    shutil.copytree(pretrained / "best", labelled / "card")
    line = ["finetune", str(pretrained), "--data", train, "--output", str(labelled / "tuned"), *TUNE]
    sentiment.main(line)
    before = (labelled / "tuned" / "best" / "model.safetensors").read_bytes()
    sentiment.main([*line, "--test", test, "--card", str(labelled / "card")])  # trained already
    assert (labelled / "tuned" / "best" / "model.safetensors").read_bytes() == before
    manifest = json.loads((labelled / "tuned" / "best" / "manifest.json").read_text())
    tested, validated = manifest["metrics"]
    assert tested["command"] == "zoo evaluate tuned --data test.csv --text-column text --label-column label"
    found = evaluate(zoo.load(labelled / "tuned"), rows(test))
    assert tested["figures"]["accuracy"] == found["accuracy"] > 0.9 < validated["figures"]["accuracy"]
    assert manifest["training"]["pretrained"]["data"]["reviews"] == 300
    shown = json.loads((labelled / "card" / "manifest.json").read_text())["metrics"]
    assert [m["figures"].get("accuracy") for m in shown] == [None, found["accuracy"]]
    assert f"accuracy {found['accuracy']:.4f}" in capsys.readouterr().out
    said, _ = sentiment.arguments(shlex.split(manifest["training"]["command"])[2:])
    asked, _ = sentiment.arguments(["finetune", "runs/lm", "--data", "train.csv", *TUNE, "--output", "runs/tuned"])
    assert said == asked


@pytest.mark.slow
def test_curve(pretrained, labelled):
    shutil.copytree(pretrained / "best", labelled / "card")
    line = ["curve", str(pretrained), "--data", str(labelled / "train.csv"), "--sizes", "20", "--most-epochs", "3"]
    line += ["--output", str(labelled / "curve"), "--card", str(labelled / "card"), *TUNE]
    sentiment.main(line)
    with (labelled / "curve" / "curve.csv").open(newline="") as file:
        points = {(row["labels"], row["start"]): float(row["accuracy"]) for row in csv.DictReader(file)}
    assert set(points) == {(n, start) for n in ("20", "108") for start in ("pretrained", "scratch")}
    assert points["108", "pretrained"] > 0.8
    assert (labelled / "curve" / "curve.png").stat().st_size > 1000
    metrics = json.loads((labelled / "card" / "manifest.json").read_text())["metrics"]
    assert metrics[-1]["figures"]["accuracy_with_108"] == points["108", "scratch"]
    shutil.rmtree(labelled / "curve" / "scratch-20")
    sentiment.main(line)  # what is known is not trained again
    assert not (labelled / "curve" / "scratch-20").exists()
    scratch = zoo.info(labelled / "curve" / "scratch-108")
    assert scratch["training"]["pretrained"] is False and "from scratch" in scratch["description"]


def test_soup(pretrained, labelled):
    base, models = zoo.load(pretrained), []
    for i in range(3):
        keras.utils.set_random_seed(i)
        models.append(zoo.models.Classifier.on(base, labels=("0", "1"), pooling=("cell", "max")))
        record = {"command": f"tuned {i}", "base": "lm", "minutes": 1.5, "history": []}
        zoo.save(models[-1], labelled / f"run-{i}", {"training": record})
    runs = [str(labelled / f"run-{i}") for i in range(3)]
    test = ["--test", str(labelled / "test.csv"), "--store", "float32", "--output", str(labelled / "soup")]
    sentiment.main(["soup", *runs, *test])
    kernels = [keras.ops.convert_to_numpy(model.output_layer.kernel) for model in models]
    np.testing.assert_allclose(zoo.load(labelled / "soup").output_layer.kernel, np.mean(kernels, axis=0), atol=1e-6)
    info = zoo.info(labelled / "soup")
    assert info["training"]["averaged"] == ["tuned 0", "tuned 1", "tuned 2"] and info["training"]["minutes"] == 4.5
    said = "python recipes/sentiment.py soup runs/run-0 runs/run-1 runs/run-2 --store float32 --output runs/soup"
    assert info["training"]["command"] == said
    assert info["metrics"][0]["command"].startswith("zoo evaluate soup --data test.csv")
    with pytest.raises(FileExistsError, match="soup is not empty. Choose another folder"):
        sentiment.main(["soup", *runs, *test])
    other = ["--output", str(labelled / "other")]
    with pytest.raises(ValueError, match="is not of the architecture"):
        sentiment.main(["soup", runs[0], str(pretrained), *other])
    with pytest.raises(ValueError, match="a model for language-model; soup averages classifiers"):
        sentiment.main(["soup", str(pretrained), runs[0], *other])
    zoo.save(zoo.models.Classifier.on(base, labels=("c", "d"), pooling=("cell", "max")), labelled / "strange")
    with pytest.raises(ValueError, match="strange has the labels c, d; .*run-0 has 0, 1"):
        sentiment.main(["soup", runs[0], str(labelled / "strange"), *other])
    assert not (labelled / "other").exists()
