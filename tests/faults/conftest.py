"""Puts `faults`, which these tests share, within reach, and gives them a small checkpoint to spoil."""

import shutil
import sys
from pathlib import Path

import pytest

import zoo

sys.path.insert(0, str(Path(__file__).parent))

TEXT = "hello wide world\n"
MANIFEST = {
    "description": "A small model.",
    "training": {"command": "python train.py", "history": [{"loss": 1.5}]},
    "metrics": [{"data": "a text", "figures": {"nats_per_character": 1.5}, "command": "zoo evaluate"}],
}


def _saved(folder, **options):
    tokenizer = zoo.tokenizers.CharacterTokenizer.of(TEXT)
    config = zoo.models.LanguageModelConfig(tokenizer.vocabulary_size, embedding_size=2, **options)
    zoo.save(zoo.models.LanguageModel(config, tokenizer), folder, MANIFEST)
    return folder


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A small checkpoint that no test may change."""
    return _saved(tmp_path_factory.mktemp("good") / "model", units=3)


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """Another one, of the same shapes."""
    return _saved(tmp_path_factory.mktemp("other") / "model", units=3)


@pytest.fixture
def folder(good, tmp_path):
    """A copy of the small checkpoint, to spoil."""
    return Path(shutil.copytree(good, tmp_path / "model"))
