"""`zoo translate`, and `zoo evaluate` and `zoo finetune` on pairs of sentences."""

import json

import pytest

import zoo
from zoo import bulk, cli
from zoo.bulk import translate_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    config = zoo.models.TranslatorConfig(256, 256, units=8, embedding_size=4)
    path = tmp_path_factory.mktemp("models") / "tiny"
    zoo.save(zoo.models.Translator(config, tokenizer), path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return zoo.load(folder)


def test_sentences(folder, model, capsys, tmp_path):
    assert cli.main(["translate", str(folder), "A dog.", "--beam-width", "2", "A cat."]) == 0
    assert capsys.readouterr().out.splitlines() == model.translate(["A dog.", "A cat."], beam_width=2)
    assert cli.main(["translate", str(folder), "A dog.", "--alignment", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


LINES = ["A dog.", "", "Two\twords", "😀", " ", "x" * 300, "end"]


@pytest.mark.parametrize("torn", [None, b"", b"half a li"])
def test_a_line_for_every_line(model, tmp_path, torn, monkeypatch):
    monkeypatch.setattr(bulk, "BLOCK", 3)
    (tmp_path / "in.txt").write_text("\n".join(LINES))
    if torn is not None:

        def killed(count):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            translate_file(model, tmp_path / "in.txt", tmp_path / "out.txt", progress=killed, beam_width=1)
        with (tmp_path / "out.txt.partial").open("ab") as file:
            file.write(torn)
    assert translate_file(model, tmp_path / "in.txt", tmp_path / "out.txt", beam_width=1) == len(LINES)
    written = (tmp_path / "out.txt").read_text().split("\n")
    assert written == [*model.translate(LINES, beam_width=1), ""]
    assert written[1] == written[4] == ""
    assert {path.name for path in tmp_path.iterdir()} == {"in.txt", "out.txt"}
    with pytest.raises(FileExistsError):
        translate_file(model, tmp_path / "in.txt", tmp_path / "out.txt")


def test_a_file_that_could_not_be_read_leaves_nothing_and_can_be_mended(model, tmp_path):
    (tmp_path / "in.txt").write_bytes("Ein Café.\n".encode("latin1"))
    with pytest.raises(ValueError, match="not UTF-8"):
        translate_file(model, tmp_path / "in.txt", tmp_path / "out.txt", beam_width=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]
    (tmp_path / "in.txt").write_text("Ein Café.\n")
    assert translate_file(model, tmp_path / "in.txt", tmp_path / "out.txt", beam_width=1) == 1


def test_file_command(folder, model, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("A dog.\nA cat.\n")
    words = ["--file", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt"), "--beam-width", "1"]
    assert cli.main(["translate", str(folder), *words]) == 0
    assert (tmp_path / "out.txt").read_text().splitlines() == model.translate(["A dog.", "A cat."], beam_width=1)


def test_evaluate(folder, tmp_path, capsys):
    for name in ("en", "de"):
        (tmp_path / f"test.{name}").write_text("A dog runs.\nA cat sleeps here.\n")
    (tmp_path / "test.tsv").write_text("A dog runs.\tA dog runs.\nA cat sleeps here.\tA cat sleeps here.\n")
    found = []
    for words in (["--source", "test.en", "--target", "test.de"], ["--tsv", "test.tsv"]):
        words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
        assert cli.main(["evaluate", str(folder), *words, "--beam-width", "1", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert {"bleu", "chrf", "bleu_signature", "chrf_signature", "sentences_per_second", "seconds"} <= set(found[0])
    assert found[0]["chrf"] == found[1]["chrf"] and found[0]["sentences"] == 2


@pytest.mark.parametrize(
    "words, message",
    [
        (["translate", "{}"], "Give sentences to translate; or --file, with --output"),
        (["translate", "{}", "a", "--beam-width", "0"], "`beam_width` must be an int of at least 1"),
        (["translate", "{}", "a", "b", "--alignment", "x.png"], "--alignment draws the translation of one sentence"),
        (
            ["translate", "mlstm-shakespeare", "a"],
            "is a model for language-model; this command wants one for translation",
        ),
        (["evaluate", "{}", "--source", "a"], "Give --source and --target, or --tsv"),
        (["evaluate", "{}"], "Give --text for"),
        (["evaluate", "{}", "--tsv", "a.tsv", "--last", "0.1"], "--last is for models of another task"),
        (["evaluate", "{}", "--text", "a.txt", "--beam-width", "1"], "--beam-width is for models of another task"),
        (["finetune", "{}", "--tsv", "a.tsv", "--output", "x", "--text-column", "a"], "is for classifiers"),
        (["finetune", "{}", "--tsv", "a.tsv", "--output", "x", "--class-weights", "balanced"], "is for classifiers"),
        (["finetune", "{}", "--output", "x"], "Give --data for a classifier"),
        (["finetune", "{}", "--data", "a.csv", "--tsv", "a.tsv", "--output", "x"], "Give --data for a classifier"),
    ],
)
def test_mistakes(folder, words, message, capsys):
    assert cli.main([word.format(folder) for word in words]) == 2
    assert message in capsys.readouterr().err
