import pickle
import zipfile

import numpy as np
import pytest
from keras import ops

from zoo import converters
from zoo.errors import UnsafeCheckpoint
from zoo.models import LanguageModelConfig

VOCABULARY, SIZE, UNITS = 256, 7, 12


def published(units=UNITS, seed=0):
    """Random arrays in the layout of OpenAI's."""
    random = np.random.default_rng(seed)
    shapes = [
        (VOCABULARY, SIZE), (SIZE, 4 * units), *[(units, units)] * 4, (SIZE, units), (units, units),
        (4 * units,), (4 * units,), (4 * units,), (units,), (units,), (units, VOCABULARY), (VOCABULARY,),
    ]  # fmt: skip
    return [random.normal(size=shape).astype("float32") for shape in shapes]


@pytest.fixture
def folder(tmp_path):
    for i, array in enumerate(published()):
        np.save(tmp_path / f"{i}.npy", array)
    return tmp_path


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logits_by_the_paper(arrays, tokens):
    """Krause et al. 2016 with weight normalisation, gates i, f, o, u, as OpenAI's code evaluates it; float64."""
    arrays = [a.astype("float64") for a in arrays]
    embedding, wx, *wh, wmx, wmh, b, gx, gh, gmx, gmh, w, bias = arrays
    wx, wh, wmx, wmh = (
        g * k / np.linalg.norm(k, axis=0) for k, g in ((wx, gx), (np.hstack(wh), gh), (wmx, gmx), (wmh, gmh))
    )
    h = c = np.zeros(len(wmh))
    for token in tokens:
        x = embedding[token]
        i, f, o, u = np.split(x @ wx + ((x @ wmx) * (h @ wmh)) @ wh + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(u)
        h = sigmoid(o) * np.tanh(c)
        yield h @ w + bias


def test_openai_mlstm_equals_the_paper(folder):
    model = converters.openai_mlstm(folder)
    tokens = model.tokenizer.encode("The café was lovely, then it fell apart.")
    expected = np.stack(list(logits_by_the_paper(published(), tokens)))
    np.testing.assert_allclose(ops.convert_to_numpy(model(tokens[None]))[0], expected, rtol=1e-5, atol=1e-5)


def test_shapes_at_the_published_size():
    shapes = LanguageModelConfig(256, "mlstm", units=4096, embedding_size=64).weight_shapes()
    assert shapes == {
        "embedding/embeddings": (256, 64),
        "recurrent_0/kernel": (64, 16384),
        "recurrent_0/recurrent_kernel": (4096, 16384),
        "recurrent_0/bias": (16384,),
        "recurrent_0/multiplicative_kernel": (64, 4096),
        "recurrent_0/multiplicative_recurrent_kernel": (4096, 4096),
        "output/kernel": (4096, 256),
        "output/bias": (256,),
    }


class Bomb:
    def __reduce__(self):
        return (open, ("canary", "w"))


@pytest.mark.parametrize("i, spoil, message", [
    (3, lambda path: path.unlink(), "lacks 3.npy"),
    (0, lambda path: np.save(path, np.zeros((255, SIZE), "float32")), "should be .256, 7., it is .255, 7."),
    (7, lambda path: np.save(path, np.zeros(3, "float32")), "not a matrix"),
    (4, lambda path: np.save(path, np.zeros((UNITS, UNITS + 1), "float32")), "should be .12, 12."),
    (8, lambda path: np.save(path, np.full(4 * UNITS, np.nan, "float32")), "not finite"),
    (8, lambda path: np.save(path, np.zeros(4 * UNITS, "int32")), "not an array of floats"),
    (8, lambda path: np.save(path, np.array([Bomb()] * 4 * UNITS), allow_pickle=True), "not what the zoo writes"),
    (8, lambda path: path.write_bytes(pickle.dumps(Bomb())), "not what the zoo writes"),
    (8, lambda path: path.write_bytes(path.read_bytes()[:-9]), "not what the zoo writes"),
    (8, lambda path: path.write_bytes(b""), "not what the zoo writes"),
    (8, lambda path: zipfile.ZipFile(path, "w").writestr("a.npy", b"x"), "not what the zoo writes"),
    (8, lambda path: path.write_bytes(path.read_bytes().replace(b"(48,)", b"(9999999999999,)".ljust(5))), "not what"),
])  # fmt: skip
def test_spoilt_files_are_refused(folder, monkeypatch, i, spoil, message):
    monkeypatch.chdir(folder)
    spoil(folder / f"{i}.npy")
    with pytest.raises((UnsafeCheckpoint, FileNotFoundError), match=message):
        converters.openai_mlstm(folder)
    assert not (folder / "canary").exists()
