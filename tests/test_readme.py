"""The README's commands and code, run as printed, in its order, in one folder."""

import contextlib
import functools
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

import zoo
from zoo import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WORDS = "the king and his old friend came to rest by a river where no man had been before that night".split()


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a corpus, a table and the recipes."""
    import random

    path = tmp_path_factory.mktemp("readme")
    draw = random.Random(1)
    lines = (" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(500))
    (path / "my_corpus.txt").write_text("\n".join(lines))
    tickets = (f"{' '.join(draw.choices(WORDS, k=5))},{draw.choice(['billing', 'parcels'])}\n" for _ in range(60))
    (path / "tickets.csv").write_text("body,queue\n" + "".join(tickets))
    pairs = (draw.choices(WORDS, k=5) for _ in range(100))
    (path / "my_pairs.tsv").write_text("".join(f"{' '.join(words)}\t{' '.join(words[::-1])}\n" for words in pairs))
    (path / "sentences.txt").write_text("A dog sleeps.\n\nTwo men talk.\n")
    (path / "recipes").symlink_to(ROOT / "recipes")
    return path


@pytest.fixture(autouse=True, scope="module")
def compiled_once():
    """Each shipped model is one object, so that what one command compiled serves the next."""
    load, shipped = zoo.load, functools.cache(zoo.load)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "load", lambda name, **how: (shipped if name in zoo.list_models() else load)(name, **how))
        yield


def run(folder, command):
    """What a command prints, here in this process."""
    program, *words = shlex.split(command)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        if program == "zoo":
            assert cli.main(words) == 0
        else:
            assert program == "python"
            importlib.import_module(words[0].removesuffix(".py").replace("/", ".")).main(words[1:])
    return said.getvalue()


def commands(*headings):
    """Those that the README prints under these headings, but `make`."""
    sections = re.split(r"^## ", README, flags=re.MULTILINE)[1:]
    code = [found for section in sections if section.startswith(headings) for found in blocks("bash", section)]
    return [line for block in code for line in block.splitlines() if not line.startswith("make ")]


(TRANSLATOR_TRAINING,) = (command for command in commands("Translate") if command.startswith("python recipes/"))


def outputs(folder, *headings, but=()):
    """What each of them, but its options, says."""
    return {command.split(" --")[0]: run(folder, command) for command in commands(*headings) if command not in but}


def test_every_command_is_tried():
    here = len(commands("Generate", "Train")) + len(commands("Classify")) + len(commands("Translate"))
    assert len(commands("")) == here + len(commands("Publish")) == 21 + 10  # the latter in tests/hub/test_readme.py


def test_commands_of_language_models(folder):
    said = outputs(folder, "Generate", "Train")
    assert "mlstm-shakespeare" in said['zoo list "mlstm*"']
    assert said["zoo generate mlstm-shakespeare"].startswith("ROMEO:")
    assert len(said["zoo generate mlstm-shakespeare"]) == len("ROMEO:") + 400 + 1
    assert '"nats_per_character"' in said["zoo evaluate mlstm-shakespeare"]
    assert said["zoo generate runs/mine"].startswith("The ")
    assert (folder / "runs" / "mine" / "best" / "manifest.json").exists()


def test_commands_of_classifiers(folder):
    said = outputs(folder, "Classify")
    (films,) = (said[command] for command in said if command.startswith("zoo classify mlstm-sentiment"))
    assert [line.split()[0] for line in films.splitlines()] == ["pos", "neg"]
    assert "\x1b[48;2;" in said['zoo trace mlstm-sentiment "I loved the first half, then it fell apart."']
    assert said["zoo generate mlstm-reviews"].startswith("The film")
    assert said['zoo classify my-queue-model "Where is my parcel?"'].split()[0] in ("billing", "parcels")
    assert (folder / "labelled.csv").read_text().startswith("body,queue,predicted_label,probability\n")
    assert "<span" in (folder / "trace.html").read_text()
    assert '"accuracy"' in said["zoo evaluate my-queue-model"]


def test_commands_of_translators(folder):
    said = outputs(folder, "Translate", but=[TRANSLATOR_TRAINING])
    first, dog = next(iter(said.values())).splitlines()
    assert "Mann" in first and "Hund" in dog
    assert "chiens" in said['zoo translate attention-en-fr "Two dogs are playing in the snow."']
    assert (folder / "alignment.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "translated.txt").read_text().splitlines()[1] == ""
    assert "zoo translate my-en-de" in said["zoo finetune attention-en-de"]
    training = zoo.info(folder / "my-en-de")["training"]
    assert training["command"] == "zoo finetune attention-en-de --tsv my_pairs.tsv --epochs 1 --output my-en-de"
    assert '"bleu"' in said["zoo evaluate my-en-de"]


@pytest.mark.slow  # tests/recipes/test_translation.py has the recipe in the short tier
def test_training_of_a_translator(folder):
    run(folder, TRANSLATOR_TRAINING)
    assert (folder / "runs" / "my-translator" / "best" / "manifest.json").exists()


def test_code(folder):
    code = "\n".join(block for block in blocks("python") if "alice/" not in block)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert len(said.getvalue()) > 800
    assert (folder / "my-model" / "manifest.json").exists()


def test_make_knows_the_two_commands():
    targets = (ROOT / "Makefile").read_text()
    for command in re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE):
        assert f"\n{command}:" in targets
