import json
import lzma

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
    assert figures.keys() == {"nats_per_character", "bits_per_character", "perplexity", "characters", "seconds"}
    assert figures["nats_per_character"] == pytest.approx(score.nats_per_character, rel=1e-6)
    assert figures["bits_per_character"] == pytest.approx(score.bits_per_character, rel=1e-6)
    assert figures["characters"] == len(text)


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
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo.models.LanguageModel, "stream", interrupt)
    assert cli.main(["generate", str(folder)]) == 130
