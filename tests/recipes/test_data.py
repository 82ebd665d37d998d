import gzip
import hashlib
import json
import lzma
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recipes import data
from zoo.errors import ZooError
from zoo.text_preparation import prepared_review
from zoo.tokenizers import ByteTokenizer, SubwordTokenizer

TEXT = "Ein Käfer\r\nsaß auf 👩 dem Ast.\n"


@pytest.mark.parametrize("name, write", [("a.txt", bytes), ("a.txt.gz", gzip.compress), ("a.txt.xz", lzma.compress)])
def test_corpus_of_a_file(tmp_path, name, write):
    (tmp_path / name).write_bytes(write(TEXT.encode()))
    text, record = data.corpus(tmp_path / name)
    assert text == TEXT
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    assert record == {"name": name, "sha256": digest, "characters": len(TEXT)}


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="a.txt is empty"):
        data.corpus(tmp_path / "a.txt")


@pytest.mark.parametrize("characters, validation", [(1000, 0.05), (999, 0.1), (1000, 0), (1_115_394, 0.05)])
def test_split(characters, validation):
    text = "".join(np.random.default_rng(0).choice(list("abcd"), characters))
    train, validated, test = data.split(text, validation)
    assert validated + train + test == text
    assert len(validated) == int(validation * characters)
    assert test == text[int(0.9 * characters) :]  # nanoGPT's


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """TensorFlow Datasets with a tiny_shakespeare that is not prepared yet."""

    def download_and_prepare(download_config):
        text = (Path(download_config.manual_dir) / "input.txt").read_bytes()
        if b"Romeo" not in text:
            raise RuntimeError("wrong checksum")
        builder.parts = {"train": text[:-4], "validation": text[-4:-2], "test": text[-2:]}

    builder = SimpleNamespace(
        data_path=tmp_path / "tiny_shakespeare",
        download_and_prepare=download_and_prepare,
        as_dataset=lambda split: [{"text": builder.parts[split]}],
    )
    tfds = SimpleNamespace(
        builder={"tiny_shakespeare": builder}.__getitem__,
        as_numpy=iter,
        download=SimpleNamespace(DownloadConfig=lambda manual_dir: SimpleNamespace(manual_dir=manual_dir)),
    )
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", tfds)
    return builder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", refuse)


def test_tiny_shakespeare_from_a_folder_without_network(tmp_path, builder, no_network):
    (tmp_path / "input.txt").write_text("O Romeo, Romeo ré")
    text, record = data.corpus(manual_dir=tmp_path)
    assert text == "O Romeo, Romeo ré"
    assert (record["name"], record["characters"]) == ("tiny_shakespeare", 17)


def test_tiny_shakespeare_that_is_prepared_needs_nothing(builder, no_network):
    builder.data_path.mkdir()
    builder.parts = {"train": b"a", "validation": b"b", "test": b"c"}
    assert data.corpus()[0] == "abc"


def test_a_folder_without_the_file(tmp_path, builder):
    with pytest.raises(FileNotFoundError, match=f"There is no input.txt in --manual-dir {tmp_path}"):
        data.corpus(manual_dir=tmp_path)


def test_a_folder_with_another_file(tmp_path, builder):
    (tmp_path / "input.txt").write_text("mine")
    with pytest.raises(ZooError, match="could not prepare tiny_shakespeare: wrong checksum"):
        data.corpus(manual_dir=tmp_path)


def test_neither_file_nor_network(builder, no_network):
    with pytest.raises(ConnectionError, match="cannot be reached. Put its input.txt.*--manual-dir.*--text"):
        data.corpus()


def test_without_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ZooError, match="comes by tensorflow-datasets.*give a file with --text"):
        data.corpus()


REVIEWS = [f"Review {i}:<br />fine &amp; dandy " + "so so " * i for i in range(300)]


def write_reviews(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def documents(array, tokenizer):
    return sorted("\n " + part for part in tokenizer.decode(array).split("\n ")[1:])


SUBWORDS = SubwordTokenizer.of(REVIEWS, 300, preparation="review")


@pytest.mark.parametrize("tokenizer, dtype", [(ByteTokenizer("review"), "uint8"), (SUBWORDS, "uint16")])
def test_reviews_are_prepared_and_each_is_in_one_part(tmp_path, tokenizer, dtype):
    files = [write_reviews(tmp_path / "a.jsonl", REVIEWS[:200]), write_reviews(tmp_path / "b.jsonl", REVIEWS[200:])]
    texts, record = data.reviews(files, "text")
    digest = hashlib.sha256("".join(REVIEWS).encode()).hexdigest()
    assert record == {"name": "a.jsonl, b.jsonl", "sha256": digest, "reviews": 300}
    parts = data.in_parts(texts, tokenizer, seed=1)
    assert {part.dtype.name for part in parts} == {dtype}
    found = [documents(part, tokenizer) for part in parts]
    assert [len(part) for part in found] == [294, 3, 3]
    assert sorted(sum(found, [])) == sorted(prepared_review(text) for text in REVIEWS)
    again, other = (data.in_parts(texts, tokenizer, seed) for seed in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again))
    assert documents(other[2], tokenizer) != found[2]


def test_too_few_reviews(tmp_path):
    with pytest.raises(ValueError, match="2 reviews are too few"):
        data.reviews([write_reviews(tmp_path / "a.jsonl", REVIEWS[:2])], "text")


def test_imdb_reviews_without_those_of_the_test(builder, monkeypatch, no_network):
    splits = {"train": ["a b", "c"], "unsupervised": ["d", "e f", "g"], "test": ["e f", "h"]}
    imdb = SimpleNamespace(
        data_path=builder.data_path, as_dataset=lambda split: [{"text": text.encode()} for text in splits[split]]
    )
    monkeypatch.setattr(sys.modules["tensorflow_datasets"], "builder", {"imdb_reviews": imdb}.__getitem__)
    with pytest.raises(ConnectionError, match="imdb_reviews is not prepared yet.*--data"):
        data.reviews(None, "text")
    builder.data_path.mkdir()
    texts, record = data.reviews(None, "text")
    assert texts == ["a b", "c", "d", "g"]
    assert record["name"] == "imdb_reviews"
