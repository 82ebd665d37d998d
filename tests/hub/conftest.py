"""Gives the tests a hub of their own: the client's addresses and folders point to it, nothing else of it is changed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import loopback  # noqa: E402

import zoo  # noqa: E402

TEXT = "hello wide world\n"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A `loopback.LoopbackHub`, of which the client has a token that may write."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    found = loopback.LoopbackHub()
    monkeypatch.setattr(constants, "ENDPOINT", found.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", loopback.WRITER)
    yield found
    found.close()
    close_session()


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A small checkpoint that no test may change."""
    tokenizer = zoo.tokenizers.CharacterTokenizer.of(TEXT)
    config = zoo.models.LanguageModelConfig(tokenizer.vocabulary_size, embedding_size=2, units=3)
    folder = tmp_path_factory.mktemp("saved") / "model"
    metric = {"data": "a text", "figures": {"nats_per_character": 1.5}, "command": "zoo evaluate"}
    zoo.save(zoo.models.LanguageModel(config, tokenizer), folder, {"description": "Small.", "metrics": [metric]})
    return folder
