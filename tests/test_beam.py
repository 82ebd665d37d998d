"""Apache Beam labels the same rows with the same labels as `zoo classify --file`."""

import json

import pytest

pytest.importorskip("apache_beam", reason="an extra: pip install 'recurrent-zoo[beam]'")

import zoo
from recipes import classify_with_beam
from zoo.beam import ZooModelHandler
from zoo.bulk import classify_file


@pytest.fixture
def classifier(tmp_path):
    config = zoo.models.ClassifierConfig(256, "mlstm", units=6, embedding_size=4, labels=("no", "yes"))
    zoo.save(zoo.models.Classifier(config, zoo.tokenizers.ByteTokenizer()), tmp_path / "model")
    return tmp_path / "model"


def test_the_same_rows_and_labels(classifier, tmp_path):
    texts = [f'Number {i}, "quoted",\nwith a line and an é' if i % 3 else "" for i in range(40)]
    table = "id,text\n" + "".join(f'{i},"{text.replace(chr(34), chr(34) * 2)}"\n' for i, text in enumerate(texts))
    (tmp_path / "part-1.csv").write_text(table)
    (tmp_path / "part-2.csv").write_text("id,text\n40,more\n")
    expected = []
    for name in ("part-1", "part-2"):
        classify_file(zoo.load(classifier), tmp_path / f"{name}.csv", tmp_path / f"{name}.jsonl")
        expected += (tmp_path / f"{name}.jsonl").read_text().splitlines()
    classify_with_beam.main(
        [str(classifier), "--files", str(tmp_path / "part-*.csv"), "--output", str(tmp_path / "out")]
    )
    found = [line for path in tmp_path.glob("out-*.jsonl") for line in path.read_text().splitlines()]
    by_id = {record["id"]: record for record in map(json.loads, found)}
    assert len(found) == len(by_id) == len(expected) == 41
    for record in map(json.loads, expected):
        assert by_id[record["id"]] == {**record, "probability": pytest.approx(record["probability"], abs=2e-6)}


def test_translators_too_but_no_language_models(tmp_path):
    tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    translator = zoo.models.Translator(zoo.models.TranslatorConfig(256, 256, units=4, embedding_size=4), tokenizer)
    zoo.save(translator, tmp_path / "translator")
    handler = ZooModelHandler(tmp_path / "translator")
    found = list(handler.run_inference(["a", "b"], handler.load_model(), {"beam_width": 1}))
    assert [one.inference for one in found] == translator.translate(["a", "b"], beam_width=1)
    with pytest.raises(ValueError, match="language-model"):
        ZooModelHandler("mlstm-shakespeare").load_model()
