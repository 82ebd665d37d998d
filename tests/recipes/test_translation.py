import json
import lzma
import shlex

import keras
import numpy as np
import pytest

import zoo
from recipes import parallel_data, translation
from tests.reversing import untrained
from zoo.pairs import pairs

WORDS = {"a": "ein", "dog": "hund", "runs": "rennt", "the": "der", "sees": "sieht", "man": "mann", "big": "groß"}
# Every word is one subword, so that all sentences have one padded length and little is compiled.
SMOKE = "--vocabulary-size 277 --units 16 --embedding-size 8 --batch-tokens 128 --epochs 2 --average 0.5".split()


@pytest.fixture(autouse=True)
def float32():
    yield
    keras.config.set_dtype_policy("float32")


def write_pairs(folder, name, count, seed):
    random = np.random.default_rng(seed)
    texts = [random.choice(list(WORDS), 4).tolist() for _ in range(count)]
    for language, sentences in (("en", texts), ("de", [[WORDS[word] for word in text] for text in texts])):
        (folder / f"{name}.{language}").write_text("".join(" ".join(text) + "\n" for text in sentences))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multi30k")
    for seed, (name, count) in enumerate({"train": 120, "val": 20, "test_2016_flickr": 10}.items()):
        write_pairs(folder, name, count, seed)
    lines = [f"{one} {i % 40}\t{two} {i % 40}\n" for i, (one, two) in enumerate(list(WORDS.items()) * 20)]
    (folder / "table.tsv.xz").write_bytes(lzma.compress("".join(lines).encode()))
    return folder


def run(files, output, *words):
    flags = {"source": "train.en", "target": "train.de", "valid-source": "val.en", "valid-target": "val.de"}
    flags |= {"test-source": "test_2016_flickr.en", "test-target": "test_2016_flickr.de"}
    given = [word for flag, name in flags.items() for word in (f"--{flag}", str(files / name))]
    translation.main([*given, *SMOKE, *words, "--output", str(output)])
    return json.loads((output / "best" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "tiny"
    card = tmp_path_factory.mktemp("cards") / "card"
    zoo.save(untrained(), card)
    words = ("--tsv", str(files / "table.tsv.xz"), "--held-out", "5", "--oversample", "2", "--card", str(card))
    return output, run(files, output, *words), zoo.info(card)["metrics"]


def test_manifest(trained, files):
    output, manifest, card = trained
    history = manifest["training"]["history"]
    assert [record["epoch"] for record in history][: len(history)] == [1, 2][: len(history)]
    assert all(0 <= record["bleu"] <= 100 for record in history)
    data = manifest["training"]["data"]
    assert data["name"] == "train.en and table.tsv.xz" and len(data["sha256"]) == 64
    assert [one["pairs"] for one in data["parts"]] == [120, 140] and data["pairs"] == 260
    assert len(manifest["metrics"]) == 4
    assert [metric["figures"] for metric in card] == [manifest["metrics"][i]["figures"] for i in (0, 2)]
    assert all(metric["data"].endswith("attention=additive") for metric in card)
    assert (output / "loss.png").exists() and (output / "log.csv").exists()
    options, _ = translation.arguments(shlex.split(manifest["training"]["command"])[2:])
    assert (options.units, options.oversample, options.tsv.name) == (16, 2, "table.tsv.xz")


def test_the_metrics_come_back_from_the_checkpoint(trained, files):
    from zoo.translation_scores import evaluate_translations

    output, manifest, _ = trained
    model = zoo.load(output)
    test = pairs(files / "test_2016_flickr.en", files / "test_2016_flickr.de")
    held_out = pairs(output / "tiny-held-out.tsv")
    assert len(held_out) == 5
    for metric, found, beam in zip(manifest["metrics"], (test, test, held_out, held_out), (5, 1, 5, 1)):
        figures = evaluate_translations(model, found, beam_width=beam)
        assert metric["figures"] == {name: figures[name] for name in ("bleu", "chrf")}
        assert metric["command"].startswith("zoo evaluate tiny --")


def test_the_table_is_split_by_source(files):
    corpus = parallel_data.of_table(files / "table.tsv.xz", False, 5)
    parts = [{pair.source for pair in part} for part in (corpus.train, corpus.validation, corpus.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert (len(corpus.validation), len(corpus.test)) == (5, 5)
    reverse = parallel_data.of_table(files / "table.tsv.xz", True, 5)
    assert {pair.source.split()[0] for pair in reverse.train} == set(WORDS.values())


@pytest.mark.slow
def test_interrupted_it_goes_on(trained, files, tmp_path, monkeypatch):
    from zoo import training

    original, calls = training.line, []

    def once(record, epochs):
        calls.append(record)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return original(record, epochs)

    monkeypatch.setattr(training, "line", once)
    words = ("--tsv", str(files / "table.tsv.xz"), "--held-out", "5", "--oversample", "2")
    with pytest.raises(KeyboardInterrupt):
        run(files, tmp_path / "tiny", *words)
    run(files, tmp_path / "tiny", *words)
    expected, found = (zoo.load(folder).named_weights() for folder in (trained[0], tmp_path / "tiny"))
    for name, weight in expected.items():
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(found[name]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["--attention", "none", "--recurrent", "gru"], ["--shared", "--attend", "after", "--layers", "2"]]
)
def test_other_architectures(files, tmp_path, words):
    run(files, tmp_path / "other", *words, "--precision", "mixed_bfloat16", "--epochs", "1")
    config = zoo.load(tmp_path / "other").config
    assert (config.attention == "none") == ("none" in words) and config.shared_embedding == ("--shared" in words)


def test_multi30k_by_tensorflow_datasets(files, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    corpus = parallel_data.multi30k("en-de", files)
    assert [len(part) for part in (corpus.train, corpus.validation, corpus.test)] == [120, 20, 10]
    by_files = pairs(files / "train.en", files / "train.de")
    assert sorted(pair[1:] for pair in corpus.train) == sorted(pair[1:] for pair in by_files)
    reverse = parallel_data.multi30k("de-en", files)
    assert sorted(pair[:0:-1] for pair in reverse.train) == sorted(pair[1:] for pair in by_files)
    for languages in ("en-xx", "de-fr", "en"):
        with pytest.raises(ValueError, match="`--pair` must be en and one of de, fr, cs"):
            parallel_data.multi30k(languages, files)


@pytest.mark.parametrize(
    "words, message",
    [
        ("--source a.en", "--source and --target belong together"),
        ("--pair en-de --source a.en --target a.de", "give --pair for Multi30k, or --source and --target"),
    ],
)
def test_bad_options(words, message, capsys, tmp_path):
    with pytest.raises(SystemExit):
        translation.main([*words.split(), "--output", str(tmp_path / "x")])
    assert message in capsys.readouterr().err


def test_a_vocabulary_that_the_texts_do_not_support(files, tmp_path):
    with pytest.raises(ValueError, match=r"support only \d+ subwords: use --vocabulary-size \d+ or less"):
        run(files, tmp_path / "x", "--vocabulary-size", "9000")
    assert not (tmp_path / "x").exists()
