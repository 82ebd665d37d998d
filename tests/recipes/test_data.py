import gzip
import hashlib
import lzma
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recipes import data
from zoo.errors import ZooError

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
