import csv
import json

import pytest

from zoo import bulk
from zoo.bulk import classify_file
from zoo.models import Classifier, ClassifierConfig
from zoo.tokenizers import ByteTokenizer


@pytest.fixture(scope="module")
def model():
    return Classifier(ClassifierConfig(256, units=4, labels=("no", "yes")), ByteTokenizer())


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "BLOCK", 4)
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "body"), *((i, f'text "{i}",\nmore {"x" * i}') for i in range(10))])
    return path


def read(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl"])
def test_every_row_in_order_with_its_label(model, source, tmp_path, name):
    seen = []
    assert classify_file(model, source, tmp_path / name, "body", progress=seen.append) == 10
    assert seen == [4, 8, 10]
    found, given = read(tmp_path / name), read(source)
    assert [(row["id"], row["body"]) for row in found] == [(row["id"], row["body"]) for row in given]
    for row, result in zip(found, model.classify([row["body"] for row in given])):
        assert row["predicted_label"] == result.label
        assert float(row["probability"]) == pytest.approx(result.probability, abs=1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", name}


@pytest.mark.parametrize("rows_done", [4, 8])
@pytest.mark.parametrize("torn", [b"", b"half a li"])
def test_interrupted_it_goes_on_and_gives_the_same_file(model, source, tmp_path, rows_done, torn):
    classify_file(model, source, tmp_path / "whole.csv", "body")

    def interrupt(written):
        if written == rows_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify_file(model, source, tmp_path / "out.csv", "body", progress=interrupt)
    assert not (tmp_path / "out.csv").exists()
    with (tmp_path / "out.csv.partial").open("ab") as file:
        file.write(torn)
    seen = []
    assert classify_file(model, source, tmp_path / "out.csv", "body", progress=seen.append) == 10
    assert seen[0] > rows_done
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv", "whole.csv"}


def test_the_work_of_another_model_or_input_is_not_continued(model, source, tmp_path):
    def interrupt(written):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify_file(model, source, tmp_path / "out.csv", "body", progress=interrupt, model_name="one")
    with pytest.raises(FileExistsError, match="another work"):
        classify_file(model, source, tmp_path / "out.csv", "body", model_name="two")
    source.write_text(source.read_text() + "11,new\n")
    with pytest.raises(FileExistsError, match="another work"):
        classify_file(model, source, tmp_path / "out.csv", "body", model_name="one")


def test_bad_rows_stop_or_are_skipped(model, source, tmp_path):
    source.write_text("id,body\n1,a\n2\n3,c\n")
    with pytest.raises(ValueError, match="line 3: 1 fields"):
        classify_file(model, source, tmp_path / "out.csv", "body")
    bad = []
    assert classify_file(model, source, tmp_path / "other.csv", "body", bad.append) == 2
    assert [row["id"] for row in read(tmp_path / "other.csv")] == ["1", "3"]
    assert len(bad) == 1


def test_no_column_of_the_input_is_lost(model, source, tmp_path):
    source.write_text("body,predicted_label\na,b\n")
    with pytest.raises(ValueError, match="has a column 'predicted_label' already"):
        classify_file(model, source, tmp_path / "out.csv", "body")


def test_an_output_that_exists_is_kept(model, source, tmp_path):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="exists"):
        classify_file(model, source, tmp_path / "out.csv", "body")
    with pytest.raises(ValueError, match="`output` must end in"):
        classify_file(model, source, tmp_path / "out.xlsx", "body")
    with pytest.raises(ValueError, match="no column 'text'"):
        classify_file(model, source, tmp_path / "new.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
