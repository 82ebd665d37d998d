import gzip
import hashlib
import json
import lzma
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors import safe_open

import zoo
from recipes import char_lm, language_models
from zoo.training import LOCK_FILE, STATE_FILE

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "char_lm.py"
WITHOUT_TENSORFLOW = "import sys; sys.modules.update(tensorflow=None, tensorflow_datasets=None); "


def text_of(characters, seed=1):
    """Lines of a play that nobody wrote."""
    random = np.random.default_rng(seed)
    words = "the morning river carries a quiet boat toward our harbour where old friends wait with café lamps".split()
    lines = []
    while sum(map(len, lines)) < characters:
        line = " ".join(random.choice(words, random.integers(4, 12))).capitalize()
        lines.append(f"{random.choice(['HANNAH', 'CALEB'])}:\n{line}.\n\n")
    return "".join(lines)[:characters]


@pytest.fixture(autouse=True)
def float32():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "play.txt"
    path.write_text(text_of(9000), encoding="utf-8", newline="")
    return path


def train(output, *options):
    char_lm.main(["--smoke", "--output", str(output), *map(str, options)])
    return json.loads((output / "best" / "manifest.json").read_text())


def nats_of_the_last_tenth(folder, corpus):
    text = corpus.read_bytes().decode()
    return zoo.load(folder).score(text[int(0.9 * len(text)) :]).nats_per_character


def in_manifest(manifest):
    return manifest["metrics"][0]["figures"]["nats_per_character"]


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "smoke"
    return output, train(output, "--text", corpus)


def test_smoke(trained, corpus):
    output, manifest = trained
    text = corpus.read_bytes().decode()
    training = manifest["training"]
    assert shlex.split(training["command"])[1:] == (
        f"recipes/char_lm.py --text play.txt --smoke --output runs/{output.name}".split()
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert training["data"] == {"name": "play.txt", "sha256": digest, "characters": len(text)}
    assert training["seed"] == 1
    assert {"python", "keras", "numpy", "recurrent-zoo", keras.backend.backend()} == set(training["versions"])
    assert "CPU cores" in training["hardware"]
    assert training["minutes"] >= 0
    assert [h["epoch"] for h in training["history"]] == [1, 2]
    assert training["history"][1]["validation"] < training["history"][0]["validation"]
    assert in_manifest(manifest) == nats_of_the_last_tenth(output, corpus) < np.log(len(set(text)))
    assert (
        manifest["metrics"][0]["data"] == f"the last tenth of play.txt, {len(text) - int(0.9 * len(text))} characters"
    )
    assert {path.name for path in output.iterdir()} == {"best", STATE_FILE, LOCK_FILE, "log.csv", "loss.png"}
    model = zoo.load(output)
    assert len(model.generate("CALEB:", length=20, seed=1)) == 20
    assert (model.config.recurrent, model.config.units) == ("mlstm", 16)


def test_the_command_of_the_manifest_gives_the_same_settings(trained):
    output, manifest = trained
    options, _ = char_lm.arguments(shlex.split(manifest["training"]["command"])[2:])
    asked, _ = char_lm.arguments(["--smoke", "--text", "play.txt", "--output", "runs/" + output.name])
    assert options == asked


@pytest.fixture
def not_trained(monkeypatch):
    """What the recipe gives to `fit`, which is not run."""

    class Stop(BaseException):
        pass

    def fit(*arguments, **options):
        given.append((arguments, options))
        raise Stop

    def settings_of(*arguments):
        with pytest.raises(Stop):
            train(*arguments)
        return given.pop()

    given = []
    monkeypatch.setattr(zoo.training, "fit", fit)
    return settings_of


@pytest.mark.parametrize("compress, suffix", [(gzip.compress, ".gz"), (lzma.compress, ".xz")])
def test_a_compressed_text_is_the_same_text(trained, corpus, tmp_path, not_trained, compress, suffix):
    path = tmp_path / f"play.txt{suffix}"
    path.write_bytes(compress(corpus.read_bytes()))
    _, options = not_trained(tmp_path / "run", "--text", path)
    assert options["settings"]["data"] == {**trained[1]["training"]["data"], "name": path.name}


def test_options_reach_model_optimizer_and_training(corpus, tmp_path, not_trained):
    words = "--recurrent lstm --tokenizer bytes --layers 2 --tied --units 8 --embedding-size 8 --dropout 0.1 "
    words += "--recurrent-dropout 0.2 --embedding-dropout 0.3 --forget-bias 2 --batch-size 3 --steps 10 --epochs 7 "
    words += "--learning-rate 0.5 --weight-decay 0.25 --clip-norm 3 --average 0.8 --patience 4 --checkpoint-minutes 9"
    arguments, options = not_trained(tmp_path / "run", "--text", corpus, *words.split())
    model, optimizer, loss_function, batches, _, _ = arguments
    assert model.config == zoo.models.LanguageModelConfig(
        256,
        "lstm",
        units=8,
        layers=2,
        embedding_size=8,
        tied=True,
        forget_bias=2.0,
        embedding_dropout=0.3,
        dropout=0.1,
        recurrent_dropout=0.2,
    )
    assert loss_function == model.training_loss
    assert batches(0)[0][0].shape == (3, 10)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.25, 3)
    assert float(optimizer._learning_rate(min(200, 7 * len(batches) // 10))) == pytest.approx(0.5)
    assert [options[k] for k in ("epochs", "average", "patience", "checkpoint_minutes")] == [7, 0.8, 4, 9]
    assert options["carry"][0][0].shape == (3, 8)


def test_without_validation_all_but_the_last_tenth_is_trained_on(corpus, tmp_path, not_trained):
    arguments, _ = not_trained(tmp_path / "run", "--text", corpus, "--validation", 0)
    _, _, _, batches, validate, _ = arguments
    assert validate is None
    assert batches.streams.size == pytest.approx(8100, abs=4)


def test_weight_normalization_is_folded_and_bfloat16_is_scored_in_float32(corpus, tmp_path):
    options = "--weight-normalization --precision mixed_bfloat16 --tokenizer bytes --store float32".split()
    manifest = train(tmp_path / "run", "--text", corpus, *options)
    assert manifest["training"]["precision"] == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    assert not zoo.load(tmp_path / "run").config.weight_normalization
    assert in_manifest(manifest) == nats_of_the_last_tenth(tmp_path / "run", corpus) < np.log(256)


def test_a_run_with_other_settings_is_refused(trained, corpus):
    output, _ = trained
    content = (output / STATE_FILE).read_bytes()
    with pytest.raises(zoo.errors.ZooError, match="other settings.*seed: 1, now 2"):
        train(output, "--text", corpus, "--seed", 2)
    assert (output / STATE_FILE).read_bytes() == content


def script(*options):
    """The recipe as a process of its own."""
    process = [sys.executable, RECIPE, "--smoke", *map(str, options)]
    return subprocess.Popen(process, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())


def environment(backend=None):
    return {**os.environ, "KERAS_BACKEND": backend or keras.backend.backend(), "PYTHONPATH": str(ROOT)}


BAD = {
    "missing": (FileNotFoundError, "missing.txt"),
    "a folder": (IsADirectoryError, "folder"),
    "empty": (ValueError, "empty.txt is empty"),
    "short": (ValueError, "The corpus has .* characters; 4 streams of windows of 16 need at least 132"),
    "not UTF-8": (ValueError, "latin.txt is not UTF-8: byte 0xe9 at position 9006 .*iconv"),
    "not gzip": (ValueError, "fake.txt.gz is not a whole .gz file"),
    "output is a file": (OSError, "play.txt"),
    "output under a file": (OSError, "play.txt"),
    "output with other things": (FileExistsError, "is not empty and holds no training"),
}


@pytest.fixture
def bad(tmp_path, corpus):
    """The options of each case."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    files = {
        "empty.txt": b"",
        "short.txt": text_of(500).encode(),
        "latin.txt": b"x" * 9006 + "é".encode("latin1") + b"x" * 99,
        "fake.txt.gz": b"plain" * 2000,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    run = tmp_path / "run"
    return {
        "missing": (tmp_path / "missing.txt", run),
        "a folder": (tmp_path / "folder", run),
        "empty": (tmp_path / "empty.txt", run),
        "short": (tmp_path / "short.txt", run),
        "not UTF-8": (tmp_path / "latin.txt", run),
        "not gzip": (tmp_path / "fake.txt.gz", run),
        "output is a file": (corpus, corpus),
        "output under a file": (corpus, corpus / "run"),
        "output with other things": (corpus, tmp_path / "folder"),
    }


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_work_is_said_before_training(bad, case, monkeypatch):
    monkeypatch.setattr(zoo.training, "fit", lambda *arguments, **options: pytest.fail("trained"))
    error, message = BAD[case]
    text, output = bad[case]
    before = output.read_bytes() if output.is_file() else None
    with pytest.raises(error, match=message):
        train(output, "--text", text)
    assert before is None or output.read_bytes() == before


def test_a_process_says_it_in_a_line(bad):
    text, output = bad["not UTF-8"]
    process = script("--text", text, "--output", output)
    out, err = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert "Traceback" not in err and err.splitlines()[-1].startswith(f"error: {text} is not UTF-8")


@pytest.mark.parametrize("options", ["--units 0", "--steps -1", "--batch-size x", "--epochs 0", "--recurrent hopfield"])
def test_bad_options(capsys, options):
    with pytest.raises(SystemExit, match="2"):
        char_lm.main(["--output", "run", *options.split()])
    assert f"argument {options.split()[0]}: invalid" in capsys.readouterr().err


def progress(output):
    """(epoch, step) of the state file, once there is one."""
    try:
        with safe_open(output / STATE_FILE, "np") as file:
            record = json.loads(file.metadata()["training"])
    except FileNotFoundError:
        return -1, -1
    return record["epoch"], record["step"]


def killed(number, output, options):
    """Starts the recipe and sends it a signal when it has written a state in the middle of an epoch."""
    before = progress(output)
    process = script(*options, "--output", output, "--checkpoint-minutes", 0)
    try:
        while not (progress(output) > before and progress(output)[1] > 0):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode


def test_killed_and_resumed_equals_never_killed(tmp_path):
    corpus = tmp_path / "play.txt"
    corpus.write_text(text_of(30_000))
    options = ["--text", corpus, "--recurrent-dropout", 0.1]
    once, often = tmp_path / "once", tmp_path / "often"
    assert killed(signal.SIGTERM, often, options) == 128 + signal.SIGTERM
    assert not (often / "best").exists()
    assert killed(signal.SIGKILL, often, options) == -signal.SIGKILL
    first, second = train(often, *options), train(once, *options)
    assert in_manifest(first) == in_manifest(second)
    assert [h["loss"] for h in first["training"]["history"]] == [h["loss"] for h in second["training"]["history"]]
    for name in ("best/model.safetensors", "best/tokenizer.json"):
        assert (often / name).read_bytes() == (once / name).read_bytes()
    with safe_open(often / STATE_FILE, "np") as found, safe_open(once / STATE_FILE, "np") as expected:
        assert set(found.keys()) == set(expected.keys())
        for key in found.keys():  # noqa: SIM118 - a file, not a dict
            np.testing.assert_array_equal(found.get_tensor(key), expected.get_tensor(key))


@pytest.mark.slow
def test_jax_without_tensorflow_trains_what_tensorflow_scores_alike(corpus, tmp_path):
    runs = {"float32": tmp_path / "float32", "mixed_bfloat16": tmp_path / "bfloat16"}
    calls = [
        ["--smoke", "--text", str(corpus), "--output", str(output), "--precision", precision]
        for precision, output in runs.items()
    ]
    code = f"from recipes import char_lm; [char_lm.main(call) for call in {calls!r}]; assert 'jax' in sys.modules"
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW + code], env=environment("jax"), check=True, cwd=ROOT)
    for precision, output in runs.items():
        manifest = json.loads((output / "best" / "manifest.json").read_text())
        assert manifest["training"]["precision"] == precision
        assert "jax" in manifest["training"]["versions"]
        assert in_manifest(manifest) == pytest.approx(nats_of_the_last_tenth(output, corpus), rel=1e-5)
        assert in_manifest(manifest) < 3.4


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", language_models.UNITS)
def test_each_kind_learns(corpus, tmp_path, recurrent):
    manifest = train(tmp_path / "run", "--text", corpus, "--recurrent", recurrent)
    history = manifest["training"]["history"]
    assert history[1]["validation"] < history[0]["validation"]
    assert in_manifest(manifest) == nats_of_the_last_tenth(tmp_path / "run", corpus)
