import json
import lzma
import math

import pytest

import zoo
from zoo import cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = zoo.tokenizers.CharacterTokenizer.of("hello world\n")
    config = zoo.models.LanguageModelConfig(tokenizer.vocabulary_size, "mlstm", units=8, embedding_size=4)
    path = tmp_path_factory.mktemp("models") / "tiny"
    zoo.save(zoo.models.LanguageModel(config, tokenizer), path, {"description": "A tiny one."})
    return path


def test_generate_prints_the_prompt_and_what_the_model_writes(folder, capsys):
    assert cli.main(["generate", str(folder), "--prompt", "he", "--length", "30", "--seed", "4"]) == 0
    expected = zoo.load(folder).generate("he", length=30, temperature=0.8, seed=4)
    assert capsys.readouterr().out == f"he{expected}\n"


def test_generate_with_every_option(folder, capsys):
    options = ["--top-k", "3", "--top-p", "0.9", "--temperature", "1.2", "--stop", "l", "--stop", "o", "--seed", "1"]
    assert cli.main(["generate", str(folder), *options]) == 0
    assert not {"l", "o"} & set(capsys.readouterr().out)


@pytest.mark.parametrize("suffix", ["", ".xz"])
def test_evaluate_prints_the_score_of_the_whole_file(folder, tmp_path, capsys, suffix):
    text = "hello world, hello\n" * 20
    path = tmp_path / f"text.txt{suffix}"
    path.write_bytes(lzma.compress(text.encode()) if suffix else text.encode())
    assert cli.main(["evaluate", str(folder), "--text", str(path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    score = zoo.load(folder).score(text)
    names = "nats_per_character bits_per_character bits_per_byte perplexity word_perplexity characters words seconds"
    assert list(figures) == names.split()
    assert figures["nats_per_character"] == pytest.approx(score.nats_per_character, rel=1e-6)
    assert figures["bits_per_character"] == pytest.approx(score.bits_per_character, rel=1e-6)
    assert (figures["characters"], figures["words"]) == (len(text), 20 * 4)
    assert figures["word_perplexity"] == pytest.approx(math.exp(score.nats / 80), rel=1e-6)


def test_evaluate_the_last_part_only(folder, tmp_path, capsys):
    text = "hello world, hello\n" * 20
    (tmp_path / "text.txt").write_text(text)
    assert cli.main(["evaluate", str(folder), "--text", str(tmp_path / "text.txt"), "--last", "0.1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    expected = zoo.load(folder).score(text[int(len(text) * 0.9) :])
    assert figures["nats_per_character"] == pytest.approx(expected.nats_per_character, rel=1e-6)


def test_evaluate_for_people(folder, tmp_path, capsys):
    (tmp_path / "text.txt").write_text("hello")
    assert cli.main(["evaluate", str(folder), "--text", str(tmp_path / "text.txt")]) == 0
    assert "nats_per_character" in capsys.readouterr().out


def test_info(folder, capsys):
    assert cli.main(["info", str(folder)]) == 0
    assert "A tiny one." in capsys.readouterr().out
    assert cli.main(["info", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["units"] == 8


def test_list_filters_by_pattern_and_task(capsys):
    assert cli.main(["list", "mlstm*", "--task", "language-model"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == zoo.list_models("mlstm*", task="language-model") and "mlstm-shakespeare" in names
    assert cli.main(["list", "no-such*"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "mlstm-shakespeare" in captured.err


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["generate", "mlstm-shakespear"], "mlstm-shakespeare"),
        (["info", ""], "empty"),
        (["generate", "FOLDER", "--temperature", "-1"], "temperature"),
        (["generate", "FOLDER", "--temperature", "nan"], "temperature"),
        (["generate", "FOLDER", "--top-k", "1000"], "top_k"),
        (["generate", "FOLDER", "--top-p", "0"], "top_p"),
        (["generate", "FOLDER", "--length", "-1"], "length"),
        (["generate", "FOLDER", "--stop", ""], "stop"),
        (["evaluate", "FOLDER", "--text", "no-such-file"], "no-such-file"),
        (["evaluate", "FOLDER", "--text", "EMPTY"], "nothing to evaluate"),
        (["evaluate", "FOLDER", "--text", "EMPTY", "--last", "2"], "--last"),
        (["evaluate", "FOLDER", "--text", "LATIN"], "UTF-8"),
        (["evaluate", "FOLDER", "--text", "FOLDER"], "directory"),
    ],
)
def test_errors_are_one_line_and_status_2(folder, tmp_path, capsys, arguments, part):
    paths = {"FOLDER": folder, "EMPTY": tmp_path / "empty", "LATIN": tmp_path / "latin"}
    paths["EMPTY"].touch()
    paths["LATIN"].write_bytes("é".encode("latin-1"))
    assert cli.main([str(paths.get(a, a)) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("zoo: ") and captured.err.count("\n") == 1 and part in captured.err


def test_interrupted(folder, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo.models.LanguageModel, "stream", interrupt)
    assert cli.main(["generate", str(folder)]) == 130


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "mine"
    config = zoo.models.ClassifierConfig(256, "mlstm", units=6, embedding_size=4, labels=("bad", "good"))
    zoo.save(zoo.models.Classifier(config, zoo.tokenizers.ByteTokenizer()), folder)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "in.csv"
    path.write_text("body,queue\n" + "".join(f'"text, {i}",{("bad", "good")[i % 2]}\n' for i in range(20)))
    return path


def test_classify_texts(classifier, capsys):
    assert cli.main(["classify", str(classifier), "A gem.", "Dull."]) == 0
    results = zoo.load(classifier).classify(["A gem.", "Dull."])
    expected = [f"{r.label}  {r.probability:.4f}  {t}" for r, t in zip(results, ("A gem.", "Dull."))]
    assert capsys.readouterr().out.splitlines() == expected
    assert cli.main(["classify", str(classifier), "--json", "A gem."]) == 0  # an option before the text
    record = json.loads(capsys.readouterr().out)
    assert record["label"] == results[0].label and record["probabilities"].keys() == {"bad", "good"}


def test_classify_a_file(classifier, table, tmp_path, capsys):
    output = tmp_path / "out.csv"
    arguments = ["classify", str(classifier), "--file", str(table), "--text-column", "body", "--output", str(output)]
    assert cli.main(arguments) == 0
    lines = output.read_text().splitlines()
    assert lines[0] == "body,queue,predicted_label,probability" and len(lines) == 21
    assert cli.main(arguments) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["A gem.", "--file", "in.csv"], [], ["--file", "in.csv"], ["--output", "o.csv"]])
def test_classify_wants_texts_or_a_file(classifier, arguments, capsys):
    assert cli.main(["classify", str(classifier), *arguments]) == 2
    assert "Give texts to label; or --file, with --output." in capsys.readouterr().err


def test_trace(classifier, tmp_path, capsys):
    assert cli.main(["trace", str(classifier), "A gem."]) == 0
    assert "\x1b[48;2;" in capsys.readouterr().out
    outputs = ["--html", str(tmp_path / "t.html"), "--png", str(tmp_path / "t.png")]
    assert cli.main(["trace", str(classifier), "x", *outputs]) == 0
    assert (tmp_path / "t.html").stat().st_size and (tmp_path / "t.png").stat().st_size


def test_finetune_evaluate_and_the_command_in_the_manifest(folder, table, tmp_path, capsys):
    output = tmp_path / "queue-model"
    columns = ["--text-column", "body", "--label-column", "queue"]
    options = ["--data", str(table), *columns, "--output", str(output), "--epochs", "1"]
    assert cli.main(["finetune", str(folder), *options]) == 0
    assert "validation accuracy" in capsys.readouterr().out
    said = zoo.info(output)["training"]["command"]
    assert said.startswith(f"zoo finetune {folder} --data in.csv --text-column body --label-column queue --epochs 1")
    assert cli.main(["evaluate", str(output), "--data", str(table), *columns, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures.keys() >= {"accuracy", "f1", "calibration_error", "confusion", "examples", "seconds"}
    predicted = [r.label for r in zoo.load(output).classify([f"text, {i}" for i in range(20)])]
    assert figures["accuracy"] == sum(p == ("bad", "good")[i % 2] for i, p in enumerate(predicted)) / 20
    assert cli.main(["evaluate", str(output), "--data", str(table)]) == 2
    assert "The columns are: 'body', 'queue'" in capsys.readouterr().err


def test_evaluate_wants_what_the_model_is_for(folder, classifier, table, capsys):
    assert cli.main(["evaluate", str(folder)]) == 2
    assert cli.main(["evaluate", str(folder), "--data", str(table)]) == 2
    assert cli.main(["evaluate", str(classifier), "--text", str(table)]) == 2
    assert "is a model for text-classification; this command wants one for language-model" in capsys.readouterr().err


def test_clamp(folder, capsys):
    assert (
        cli.main(["generate", str(folder), "--length", "30", "--seed", "1", "--clamp", "2=5", "--clamp", "0=-1"]) == 0
    )
    expected = zoo.load(folder).generate(length=30, temperature=0.8, seed=1, clamp={2: 5.0, 0: -1.0})
    assert capsys.readouterr().out == expected + "\n"
    assert cli.main(["generate", str(folder), "--clamp", "two"]) == 2
    assert "`--clamp` wants UNIT=VALUE" in capsys.readouterr().err
