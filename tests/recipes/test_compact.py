import json
import lzma

import pytest

import zoo
from recipes import compact
from zoo import audit

TRAINED = {"data": "after fine-tuning", "figures": {"accuracy": 0.5}, "command": "python recipes/finetune.py x"}
KNOWN = {"description": "Small.", "training": {"command": "python train.py"}}


@pytest.fixture
def model(tmp_path):
    """A checkpoint in float32 with two figures, and the text that one of them is of."""
    text = "the cat sat on the mat; " * 20
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.tokens.xz").write_bytes(lzma.compress(text.encode()))
    (tmp_path / "data" / "older").mkdir()
    (tmp_path / "data" / "older" / "test.tokens.xz").write_bytes(b"of the same name, but deeper")
    config = zoo.models.LanguageModelConfig(recurrent="mlstm", units=12, embedding_size=8, vocabulary_size=256)
    model = zoo.models.LanguageModel(config, zoo.tokenizers.ByteTokenizer())
    figures = {"bits_per_byte": model.score(text).bits_per_byte}
    metric = {"data": "a text", "figures": figures, "command": "zoo evaluate model --text test.tokens"}
    zoo.save(model, tmp_path / "model", {**KNOWN, "metrics": [metric, TRAINED]})
    return tmp_path / "model"


def run(model, dtype, output):
    compact.main([str(model), "--store", dtype, "--data", str(model.parent / "data"), "--output", str(output)])
    return json.loads((output / "manifest.json").read_text())


@pytest.mark.parametrize("dtype, tolerance", [("float16", 1e-3), ("int8", 0.02)])
def test_card_and_manifest_have_the_figures_before_and_after(model, dtype, tolerance, tmp_path):
    before = zoo.info(model)
    manifest = run(model, dtype, tmp_path / "small" / "model")
    after = zoo.info(tmp_path / "small" / "model")
    assert after["bytes"] < 0.6 * before["bytes"] and manifest["description"] == "Small."
    measured, trained = manifest["metrics"]
    assert measured["before"] == {"weights": "float32", "figures": before["metrics"][0]["figures"]}
    assert measured["figures"] != measured["before"]["figures"]
    assert measured["figures"] == pytest.approx(measured["before"]["figures"], rel=tolerance)
    assert trained == TRAINED
    command = f"python recipes/compact.py runs/model --store {dtype} --data data --output runs/{dtype}/model"
    assert manifest["training"] == {"command": "python train.py", "stored": command}
    again = list(audit.audit(str(tmp_path / "small" / "model"), model.parent / "data"))
    assert [finding.holds for finding in again[-3:]] == [True, True, None]  # card, evaluation, training
    old, new = (f"bits per byte {one['figures']['bits_per_byte']:.4g}" for one in (measured["before"], measured))
    card = (tmp_path / "small" / "model" / "README.md").read_text()
    assert f"a text: {new} (with the weights as float32: {old})" in card


def test_a_file_that_is_not_there_is_named(model, tmp_path):
    for path in (model.parent / "data").rglob("test.tokens.xz"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="test.tokens is not in"):
        run(model, "float16", tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_compacted_twice_it_remembers_the_first_figures(model, tmp_path):
    first = run(model, "float16", tmp_path / "half")
    second = run(tmp_path / "half", "int8", tmp_path / "small")
    assert second["metrics"][0]["before"] == first["metrics"][0]["before"]
    assert second["metrics"][0]["command"] == "zoo evaluate small --text test.tokens"


def test_what_would_lose_weights_is_refused(model, tmp_path):
    before = zoo.info(model)
    with pytest.raises(ValueError, match="Name another folder"):
        run(model, "int8", model)
    run(model, "int8", tmp_path / "small")
    for larger in ("int8", "float16", "float32"):
        with pytest.raises(ValueError, match="is stored as int8"):
            run(tmp_path / "small", larger, tmp_path / "large")
    assert zoo.info(model) == before and not (tmp_path / "large").exists()
