"""Fine-tuning a translator: choosing, resuming, refusing."""

import csv

import numpy as np
import pytest

import zoo
from tests.reversing import examples, train, untrained
from zoo.errors import ZooError

QUIET = {"report": lambda line: None}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    zoo.save(untrained(), folder)
    return folder


def lists(count=60, seed=5):
    found = examples(count, seed)
    return [pair.source for pair in found], [pair.target for pair in found]


@pytest.mark.slow
def test_it_learns_and_interrupted_it_goes_on_to_the_same_weights(base, tmp_path):
    said, before = [], (base / "model.safetensors").read_bytes()

    def run(folder, stop=None):
        def report(line):
            said.append(line)
            if stop is not None and line.startswith(f"epoch {stop}/"):
                raise KeyboardInterrupt

        options = {"epochs": 2, "batch_tokens": 256, "average": 0.5, "report": report}
        return zoo.finetune_translator(base, *lists(), output=folder, **options)

    expected = run(tmp_path / "whole")
    info = zoo.info(tmp_path / "whole")
    history = info["training"]["history"]
    with (tmp_path / "whole" / "log.csv").open(newline="") as file:
        losses = [float(record["loss"]) for record in csv.DictReader(file)]
    assert len(losses) == 2 and losses[1] < losses[0]
    assert info["metrics"][0]["figures"]["bleu"] == max(record["bleu"] for record in history)
    assert info["training"]["base"] == base.name
    assert any("BLEU" in line for line in said)
    assert (base / "model.safetensors").read_bytes() == before
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=1)
    found = run(tmp_path / "parts")
    for name, weight in expected.named_weights().items():
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(found.named_weights()[name]))
    with pytest.raises(ZooError, match="other settings"):
        zoo.finetune_translator(base, *lists(), output=tmp_path / "parts", epochs=3, **QUIET)


@pytest.mark.slow
def test_what_the_tests_take_for_trained_can_be_trained_again(tmp_path):
    train(tmp_path)
    assert zoo.info(tmp_path)["training"]["history"][-1]["bleu"] > 90


def test_no_source_in_both_parts():
    from zoo.translator_training import split

    found = zoo.pairs.pairs(["a", "b", "a", "c", "b"] * 4, list("vwxyz") * 4)
    rest, some = split(found, 0.3)
    assert not {pair.source for pair in rest} & {pair.source for pair in some}
    assert len(rest) + len(some) == 20 and some
    assert split(found[::-1], 0.3)[1] == some[::-1]  # whatever the order
    with pytest.raises(ValueError, match="two different source texts"):
        split(found[:1], 0.5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"bad_rows": "ignore"}, "`bad_rows` must be one of"),
        ({"epochs": 0}, "`epochs` must be an int of at least 1"),
        ({"validation": 1.0}, "`validation` must be between 0 and 1"),
        ({"dtype": "int4"}, "`dtype` must be one of"),
    ],
)
def test_bad_options(base, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.finetune_translator(base, *lists(), output=tmp_path / "mine", **options)
    assert not (tmp_path / "mine").exists()


def test_bad_data(base, tmp_path):
    with pytest.raises(ValueError, match="60 lines and the list 59"):
        zoo.finetune_translator(base, lists()[0], lists()[1][:-1], output=tmp_path / "one", **QUIET)
    with pytest.raises(ValueError, match="At least|None of"):
        long = ["a" * 200, "b" * 200], ["x", "y"]
        zoo.finetune_translator(base, *long, output=tmp_path / "two", **QUIET)
    with pytest.raises(ValueError, match="not a translator"):
        zoo.finetune_translator("mlstm-shakespeare", *lists(), output=tmp_path / "three", **QUIET)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="Choose another folder"):
        zoo.finetune_translator(base, *lists(), output=tmp_path / "taken", **QUIET)
