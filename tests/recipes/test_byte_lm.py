"""The recipe of byte models: every option, an interruption, the other backend, bad data."""

import lzma
import os
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from recipes import byte_lm, language_models
from tests.recipes.test_char_lm import text_of
from zoo import training
from zoo.text_files import byte_tokens

ROOT = Path(__file__).parents[2]
EVERY_OPTION = (
    "--weight-normalization --layers 2 --units 16 --embedding-size 16 --tied --forget-bias 2 "
    "--embedding-dropout 0.1 --dropout 0.2 --recurrent-dropout 0.1 --batch-size 4 "
    "--steps 16 --epochs 4 --parts 2 --learning-rate 0.01 --weight-decay 0.01 "
    "--clip-norm 0.5 --average 0.9 --patience 3 --seed 3 --store int8 --recompute 8 --checkpoint-minutes 0"
).split()
SCORE = "import sys, zoo; print(zoo.load(sys.argv[1]).score(open(sys.argv[2]).read()).bits_per_byte)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three texts, one of them compressed, one with the prefix of WikiText-2."""
    path = tmp_path_factory.mktemp("data") / "small-wiki"
    path.mkdir()
    (path / "wiki.train.tokens").write_text(text_of(6000))
    (path / "valid.tokens.xz").write_bytes(lzma.compress(text_of(4000, seed=2).encode()))
    (path / "test.tokens").write_text(text_of(2000, seed=3))
    return path


def run(folder, output, *words):
    byte_lm.main(["--data", str(folder), "--output", str(output), *words])
    return zoo.info(output)


def test_every_option_interrupted_resumed_and_loaded_on_the_other_backend(folder, tmp_path, monkeypatch):
    output, line = tmp_path / "tiny", training.line
    monkeypatch.setattr(training, "line", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(folder, output, *EVERY_OPTION)
    monkeypatch.setattr(training, "line", line)
    manifest = run(folder, output, *EVERY_OPTION)  # what a resumed training equals: tests/test_training.py
    assert [record["epoch"] for record in manifest["training"]["history"]] == [1, 2, 3, 4]

    (metric,) = manifest["metrics"]
    text = (folder / "test.tokens").read_text()
    words = len(text.split()) + text.count("\n")
    assert metric["data"] == f"the test file of small-wiki, {len(text.encode()):,} bytes, {words:,} words"
    assert metric["figures"]["bits_per_byte"] < 6  # of 8
    options, _ = byte_lm.arguments(shlex.split(manifest["training"]["command"])[2:])
    asked, _ = byte_lm.arguments(["--data", "small-wiki", "--output", "runs/tiny", *EVERY_OPTION])
    differing = {name for name in vars(asked) if getattr(asked, name) != getattr(options, name)}
    assert differing == {"checkpoint_minutes"}  # which does not change the result
    config = zoo.load(output).config
    assert (config.layers, config.units, config.tied, config.weight_normalization) == (2, 16, True, False)  # folded

    other = {"tensorflow": "jax", "jax": "tensorflow"}[keras.backend.backend()]
    environment = {**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", SCORE, str(output), str(folder / "test.tokens")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(metric["figures"]["bits_per_byte"], rel=1e-5)


def test_a_plain_file_is_mapped_and_a_compressed_one_is_the_same(tmp_path):
    text = text_of(500)
    (tmp_path / "a.tokens").write_text(text)
    (tmp_path / "a.tokens.xz").write_bytes(lzma.compress(text.encode()))
    plain, compressed = byte_tokens(tmp_path / "a.tokens"), byte_tokens(tmp_path / "a.tokens.xz")
    assert isinstance(plain, np.memmap) and plain.dtype == compressed.dtype == np.uint8
    assert bytes(plain) == bytes(compressed) == text.encode()
    (tmp_path / "empty.tokens").touch()
    with pytest.raises(ValueError, match="empty.tokens is empty"):
        byte_tokens(tmp_path / "empty.tokens")


def test_other_layers_and_the_defaults():
    options, parser = byte_lm.arguments("--data . --output runs/x --recurrent gru --no-weight-normalization".split())
    assert (options.recurrent, options.units, options.weight_normalization) == ("gru", 1024, False)
    assert language_models.command("byte_lm", options, parser) == (
        f"python recipes/byte_lm.py --data {Path.cwd().name} --recurrent gru --output runs/x"
    )
    config = language_models.config_of(options, zoo.tokenizers.ByteTokenizer())
    assert (config.recurrent, config.embedding_size, config.dropout) == ("gru", 128, 0.2)


@pytest.mark.parametrize("content, error", [(b"", "is empty"), (b"caf\xe9", "is not UTF-8")])
def test_a_test_file_that_cannot_be_scored_is_found_before_the_training(folder, tmp_path, content, error):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "test.tokens").write_bytes(content)
    with pytest.raises(ValueError, match=f"test.tokens {error}"):
        byte_lm.main(["--data", str(tmp_path), "--output", str(tmp_path / "run"), "--smoke"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", ["--learning-rate -1", "--learning-rate inf", "--clip-norm 0", "--patience 0"])
def test_numbers_that_cannot_be(words, capsys):
    with pytest.raises(SystemExit):
        byte_lm.arguments(["--data", ".", "--output", "runs/x", *words.split()])
    assert f"{words.split()[0]}: invalid" in capsys.readouterr().err


def test_a_text_without_spaces_has_no_figure_for_words(tmp_path):
    for i, part in enumerate(("train", "valid", "test")):
        (tmp_path / f"{part}.tokens").write_text("".join(text_of(4000, seed=i).split()))
    manifest = run(tmp_path, tmp_path / "run", "--smoke", "--epochs", "1")
    assert set(manifest["metrics"][0]["figures"]) == {"bits_per_byte"}


def test_a_missing_file_is_named_before_anything_is_trained(folder, tmp_path):
    (tmp_path / "train.tokens").write_text("a")
    with pytest.raises(FileNotFoundError, match="has no valid.tokens, .* wikitext-2-v1.zip"):
        byte_lm.main(["--data", str(tmp_path), "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()
