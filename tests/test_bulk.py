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
        classify_file(model, source, tmp_path / "out.csv", "body", progress=interrupt)
    other = Classifier(model.config, model.tokenizer)  # of other weights
    with pytest.raises(FileExistsError, match="another work"):
        classify_file(other, source, tmp_path / "out.csv", "body")
    source.write_text(source.read_text() + "11,new\n")
    with pytest.raises(FileExistsError, match="another work"):
        classify_file(model, source, tmp_path / "out.csv", "body")


def test_two_at_once(model, source, tmp_path):
    def second(written):
        with pytest.raises(FileExistsError, match="in use: another process"):
            classify_file(model, source, tmp_path / "out.csv", "body")

    assert classify_file(model, source, tmp_path / "out.csv", "body", progress=second) == 10
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


def test_a_partial_file_of_the_users_is_kept(model, source, tmp_path):
    (tmp_path / "out.csv.partial").write_text("mine")
    with pytest.raises(FileExistsError, match="is not of this work. Move it away"):
        classify_file(model, source, tmp_path / "out.csv", "body")
    assert (tmp_path / "out.csv.partial").read_text() == "mine"


def test_the_input_as_output(model, source):
    with pytest.raises(FileExistsError, match="It is the input: choose another name"):
        classify_file(model, source, source, "body")


def write_json_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_table_has_the_columns_of_the_first_row(model, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "BLOCK", 2)
    records = [{"id": i, "text": "a"} for i in range(2)] + [{"text": "b", "id": 2}, {"text": "c"}]
    path = write_json_lines(tmp_path / "in.jsonl", [*records, {"text": "d", "z": 1}])
    with pytest.raises(ValueError, match="line 5: 'z' is not in the first row. A .jsonl file can hold that"):
        classify_file(model, path, tmp_path / "stopped.csv")
    bad = []
    assert classify_file(model, path, tmp_path / "out.csv", bad=bad.append) == 4
    assert len(bad) == 1
    found = [(row["id"], row["text"]) for row in read(tmp_path / "out.csv")]
    assert found == [("0", "a"), ("1", "a"), ("2", "b"), ("", "c")]
    assert classify_file(model, path, tmp_path / "out.jsonl") == 5
    assert read(tmp_path / "out.jsonl")[4]["z"] == 1


def test_added_columns_in_a_later_row(model, tmp_path):
    path = write_json_lines(tmp_path / "in.jsonl", [{"text": "a"}, {"text": "b", "probability": 0.1}])
    with pytest.raises(ValueError, match="has a column 'probability' already"):
        classify_file(model, path, tmp_path / "out.jsonl")


def test_odd_characters_survive(model, tmp_path):
    texts = ["one\rtwo", "x\u2028y", 'quote " and\ttab', "\ud800 lone", ""]
    path = write_json_lines(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    expected = [text.replace("\ud800", "\N{REPLACEMENT CHARACTER}") for text in texts]
    for name in ("out.csv", "out.jsonl"):
        assert classify_file(model, path, tmp_path / name) == len(texts)
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            found = [json.loads(line) for line in file] if name == "out.jsonl" else list(csv.DictReader(file))
        assert [row["text"] for row in found] == expected


def test_nothing_to_classify(model, tmp_path):
    (tmp_path / "in.csv").write_text("text\n")
    with pytest.raises(ValueError, match="There is no row to classify"):
        classify_file(model, tmp_path / "in.csv", tmp_path / "out.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv"}


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
