"""Gives the tests a hub of their own: the client's addresses and folders point to it, and it waits less."""

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import loopback  # noqa: E402

import zoo  # noqa: E402

TEXT = "hello wide world\n"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A `loopback.LoopbackHub`, of which the client has a token that may write."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http, close_session

    found = loopback.LoopbackHub()
    monkeypatch.setattr(constants, "ENDPOINT", found.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", loopback.WRITER)
    for module in (_http, file_download):  # which wait for seconds before they try again
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.01))))
    yield found
    for thread in threading.enumerate():
        if thread.name.startswith("zoo: "):  # given up, but not over
            thread.join(10)
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
