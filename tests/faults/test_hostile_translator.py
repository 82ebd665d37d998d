"""Translators that a stranger may have made: what they have and other models have not, their two tokenizers."""

import json
import shutil
from pathlib import Path

import pytest
from faults import refusal, rehash

import zoo
from zoo.errors import UnsafeCheckpoint

BYTES = {"kind": "bytes"}
PAIR = {"kind": "pair", "source": BYTES, "target": BYTES}
CHARACTERS = {"kind": "characters", "characters": "abc", "unknown": "replace"}


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    folder = tmp_path_factory.mktemp("good") / "model"
    zoo.save(zoo.models.Translator(zoo.models.TranslatorConfig(256, 256, units=2, embedding_size=2), tokenizer), folder)
    return folder


@pytest.fixture
def folder(translator, tmp_path):
    return Path(shutil.copytree(translator, tmp_path / "model"))


def test_the_good_one_is_good(folder):
    rehash(folder)
    assert refusal(folder) is None


@pytest.mark.parametrize("record, problem", [
    (BYTES, "it has 256 tokens, the model (256, 256)"),
    ({"kind": "pair", "source": BYTES}, "'target' is a required property"),
    ({**PAIR, "target": CHARACTERS}, "whose tokens include all bytes"),
    ({**PAIR, "target": PAIR}, "Additional properties"),
    ({**PAIR, "more": 1}, "Additional properties"),
    ({**PAIR, "target": []}, "is not of type 'object'"),
    ({**PAIR, "kind": ["pair"]}, "Additional properties"),
    ({**PAIR, "target": {**BYTES, "lowercase": True}}, "entries that no tokenizer of kind 'pair'"),
])  # fmt: skip
def test_tokenizers_that_do_not_fit(folder, record, problem):
    (folder / "tokenizer.json").write_text(json.dumps(record))
    rehash(folder)
    error = refusal(folder)
    assert isinstance(error, UnsafeCheckpoint) and problem in str(error)


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"units": 3}, "`units` must be even"),
        ({"attention": "exec"}, "'exec' is not one of"),
        ({"attend": True}, "True is not one of"),
        ({"target_vocabulary_size": 300, "shared_embedding": True}, "is for one vocabulary"),
        ({"source_vocabulary_size": 10**9}, "is greater than the maximum"),
        ({"vocabulary_size": 256}, "Additional properties"),
    ],
)
def test_configurations_out_of_bounds(folder, change, problem):
    path = folder / "config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps({**config, "model": {**config["model"], **change}}))
    rehash(folder)
    error = refusal(folder)
    assert isinstance(error, UnsafeCheckpoint) and problem in str(error)
