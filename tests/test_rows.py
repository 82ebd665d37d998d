import csv
import gzip
import json
import lzma

import numpy as np
import pandas
import pytest

from zoo.rows import BadRow, Row, in_blocks, label_of, rows

RECORDS = [
    {"id": 1, "body": 'He said, "no".\nTwice.', "queue": "billing"},
    {"id": 2, "body": "café, 日本", "queue": "support"},
    {"id": 3, "body": "", "queue": "billing"},
]
EXPECTED = [(record["body"], record["queue"]) for record in RECORDS]


def write(path, records=RECORDS):
    openers = {".gz": gzip.open, ".xz": lzma.open}
    suffix = path.with_suffix("").suffix if path.suffix in openers else path.suffix
    with openers.get(path.suffix, open)(path, "wt", encoding="utf-8", newline="") as file:
        if suffix == ".jsonl":
            file.writelines(json.dumps(record) + "\n" for record in records)
        else:
            writer = csv.DictWriter(file, records[0].keys(), delimiter="\t" if suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(records)
    return path


def pairs(source, **options):
    return [
        (row.text, row.label) for row in rows(source, **{"text_column": "body", "label_column": "queue", **options})
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.tsv.xz", "a.jsonl.xz"])
def test_files(tmp_path, name):
    path = write(tmp_path / name)
    assert pairs(path) == pairs(str(path)) == EXPECTED
    assert pairs(path, label_column=None) == [(text, None) for text, _ in EXPECTED]


def test_other_sources():
    pandas = pytest.importorskip("pandas")
    assert pairs(pandas.DataFrame(RECORDS)) == EXPECTED
    assert pairs(([r["body"] for r in RECORDS], np.array([r["queue"] for r in RECORDS]))) == EXPECTED
    tf = pytest.importorskip("tensorflow")
    columns = {key: [r[key] for r in RECORDS] for key in RECORDS[0]}
    assert pairs(tf.data.Dataset.from_tensor_slices(columns)) == EXPECTED
    assert pairs(tf.data.Dataset.from_tensor_slices((columns["body"], columns["queue"]))) == EXPECTED
    assert [row.text for row in rows(["a", "b"], label_column=None)] == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufefftext,label\na,b\n".encode())
    assert [row.text for row in rows(tmp_path / "a.csv")] == ["a"]


@pytest.mark.parametrize("value, expected", [
    (1, "1"), (1.0, "1"), ("1", "1"), (np.int64(1), "1"), (np.float32(1), "1"), (b"pos", "pos"), (" pos ", "pos"),
    (0.5, "0.5"), (None, None), (float("nan"), None), ("", None), ("  ", None), (True, "True"), ("NaN", None),
    (pandas.NA, None), (pandas.NaT, None), ("b\u00a0c\n d", "b c d"),
])  # fmt: skip
def test_labels(value, expected):
    assert label_of(value) == expected


def test_a_missing_column_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="no column 'text'. The columns are: 'id', 'body', 'queue'"):
        list(rows(write(tmp_path / "a.csv")))


def test_bad_rows_are_told_by_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\ngood,1\nshort\n"two\nlines",2\nno label,\n"a"b,3\nfine,4\n')
    found = []
    assert [(row.line, row.text) for row in rows(path, bad=found.append)] == [
        (2, "good"),
        (5, "two\nlines"),
        (8, "fine"),
    ]
    assert [type(error) for error in found] == [BadRow] * 3
    for error, line in zip(found, ("line 3", "Line 6", "line 7")):
        assert line in str(error)
    with pytest.raises(BadRow, match="line 3: 1 fields, the header has 2"):
        list(rows(path))


def test_a_stray_quote_is_told_with_all_the_lines_it_spoils(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\na,1\n"oops, 2\nb,3\n"c"d,4\ne,5\n')
    found = []
    assert [row.text for row in rows(path, bad=found.append)] == ["a", "e"]
    assert "lines 3 to 5" in str(found[0])


def test_quotes_in_a_file_with_tabs_swallow_no_rows(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"Great\t1\nok\t2\nbad"\t3\nlast\t4\n"fine"\t5\n')
    found = []
    assert [row.text for row in rows(path, bad=found.append)] == ["last", "fine"]
    assert "line 2: a quotation mark begins a field that ends in line 4" in str(found[0])


def test_missing_values_of_pandas():
    frame = pandas.DataFrame({"text": ["a", "b"], "label": pandas.array([1, None], dtype="Int64")})
    found = []
    assert [row.label for row in rows(frame, bad=found.append)] == ["1"]
    assert "Line 2: there is no label" in str(found[0])


def test_empty_texts_are_bad_where_they_are_of_no_use():
    data = (["a", " \n"], [1, 2])
    assert len(list(rows(data))) == 2
    with pytest.raises(BadRow, match="Line 2: the text is empty"):
        list(rows(data, empty=False))


def test_what_is_no_label_and_no_text():
    with pytest.raises(BadRow, match=r"Line 1: the label is \['x'\], not a str or a number"):
        list(rows((["a"], [["x"]])))
    with pytest.raises(BadRow, match="Line 1: the text is .* Is the dataset batched"):
        list(rows(([np.array([b"a", b"b"])], [1])))


def test_blocks():
    found = [Row(i, "x" * 10, None, {}) for i in range(10)]
    assert [len(block) for block in in_blocks(found, 4)] == [4, 4, 2]
    assert [len(block) for block in in_blocks(found, 4, characters=25)] == [3, 3, 3, 1]
    assert list(in_blocks([], 4)) == []


def test_bad_json_lines_are_told_by_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1}\n\n{"text": \n[1]\n{"text": 5, "label": 1}\n')
    found = []
    assert [row.line for row in rows(path, bad=found.append)] == [1]
    assert [str(error).split(":")[0].split()[-1] for error in found] == ["3", "4", "5"]


@pytest.mark.parametrize("name, content, message", [
    ("a.csv", "text,label\ncafé,1\n".encode("latin1"), "not UTF-8: byte 0xe9 in line 2.*iconv"),
    ("a.jsonl", '{"text": "café"}\n'.encode("latin1"), "not UTF-8.*iconv"),
    ("a.csv", b"text,text,label\na,b,c\n", "has a column twice"),
    ("a.csv", b"", "is empty"),
    ("a.jsonl", b"", "is empty"),
    ("a.csv.gz", b"no gzip", "not a whole .gz file"),
    ("a.csv.xz", lzma.compress(b"text,label\n" + b"a,b\n" * 999)[:-20], "not a whole .xz file"),
    ("a.txt", b"text", "should end in one of .csv, .tsv"),
])  # fmt: skip
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(rows(tmp_path / name))


def test_sources_that_are_none():
    with pytest.raises(FileNotFoundError):
        list(rows("nowhere.csv"))
    with pytest.raises(TypeError, match="a pandas frame"):
        list(rows(5))
    with pytest.raises(ValueError, match="3 texts and 2 labels"):
        list(rows((["a", "b", "c"], [1, 2])))
    with pytest.raises(ValueError, match="Two lists are wanted"):
        list(rows(["a", "b"]))
    with pytest.raises(BadRow, match="Line 2: the text is 5, not a str"):
        list(rows((["a", 5], [1, 2])))
