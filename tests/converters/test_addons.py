import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from keras import ops

import zoo
from zoo import cli, converters
from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint

FEATURES, UNITS, TOKENS = 3, 4, 5
CELL = {
    "kernel": (FEATURES, 4 * UNITS), "recurrent_kernel": (UNITS, 4 * UNITS), "bias": (4 * UNITS,),
    "input_gate_peephole_weights": (UNITS,), "forget_gate_peephole_weights": (UNITS,),
    "output_gate_peephole_weights": (UNITS,),
}  # fmt: skip


def drawn(shapes, seed=0):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def language_model():
    """The arrays of a model with two cells, by the names of Keras 2."""
    cells = {
        f"{layer}/kernel" if name == "kernel" and i else f"{layer}/{name}": (UNITS, *shape[1:])
        if name == "kernel" and i
        else shape
        for i, layer in enumerate(["rnn/peephole_lstm_cell", "rnn_1/peephole_lstm_cell_1"])
        for name, shape in CELL.items()
    }
    dense = {"dense/kernel": (UNITS, TOKENS), "dense/bias": (TOKENS,)}
    return drawn({"embedding/embeddings": (TOKENS, FEATURES), **cells, **dense})


def write_h5(path, arrays, config=None):
    """As Keras 2 does: `save_weights`, or with a configuration `save`."""
    layers = list(dict.fromkeys(name.split("/")[0] for name in arrays))
    with h5py.File(path, "w") as file:
        group = file if config is None else file.create_group("model_weights")
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            file["optimizer_weights/iter:0"], file["optimizer_weights/learning_rate:0"] = 7, 0.1
        group.attrs["layer_names"] = [name.encode() for name in ("input_1", *layers)]
        group.create_group("input_1").attrs["weight_names"] = []
        for layer in layers:
            names = [name for name in arrays if name.split("/")[0] == layer]
            group.create_group(layer).attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                group[layer][f"{name}:0"] = arrays[name]
    return path


def write_npz(path, arrays):
    np.savez(path, **{f"{name}:0": array for name, array in arrays.items()})
    return path


WRITERS = {"weights.h5": write_h5, "weights.npz": write_npz}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hidden_states(x, kernel, recurrent_kernel, bias, p_i, p_f, p_o):
    """Of Addons' cell in float64, gates i, f, c, o: i and f see the cell state before the step, o that after it."""
    h = c = np.zeros(UNITS)
    for row in x.astype("float64"):
        z_i, z_f, z_c, z_o = np.split(row @ kernel + h @ recurrent_kernel + bias, 4)
        c = sigmoid(z_f + p_f * c) * c + sigmoid(z_i + p_i * c) * np.tanh(z_c)
        h = sigmoid(z_o + p_o * c) * np.tanh(c)
        yield h


@pytest.mark.parametrize("name", WRITERS)
def test_a_layer(tmp_path, name):
    arrays = drawn(CELL)
    path = WRITERS[name](tmp_path / name, {f"rnn/peephole_lstm_cell/{key}": array for key, array in arrays.items()})
    layer = converters.addons_peephole(path, return_sequences=True)
    x = np.random.default_rng(1).normal(size=(1, 7, FEATURES)).astype("float32")
    expected = np.stack(list(hidden_states(x[0], *arrays.values())))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x))[0], expected, rtol=1e-5, atol=1e-6)


def test_a_layer_of_bare_names_without_bias(tmp_path):
    np.savez(tmp_path / "cell.npz", **{name: array for name, array in drawn(CELL).items() if name != "bias"})
    layer = converters.addons_peephole(tmp_path / "cell.npz")
    assert layer.units == UNITS and not ops.convert_to_numpy(layer.cell.bias).any()


@pytest.mark.parametrize("name", WRITERS)
def test_a_language_model_by_the_command(tmp_path, name):
    arrays = language_model()
    path = WRITERS[name](tmp_path / name, arrays)
    (tmp_path / "v.json").write_text(json.dumps(["[UNK]", *"abcd"]))
    words = ["convert", "addons-peephole", path, tmp_path / "zoo", "--vocabulary", tmp_path / "v.json"]
    assert cli.main([*map(str, words)]) == 0
    model = zoo.load(tmp_path / "zoo")
    embedding, *cells, kernel, bias = arrays.values()
    x = embedding[[1, 3, 2, 0]]
    for cell in (cells[:6], cells[6:]):
        x = np.stack(list(hidden_states(x, *cell)))
    logits = ops.convert_to_numpy(model(model.tokenizer.encode("acb?")[None]))[0]
    np.testing.assert_allclose(logits, x @ kernel + bias, rtol=1e-5, atol=1e-5)


def test_a_classifier(tmp_path):
    arrays = {**language_model(), **drawn({"dense/kernel": (UNITS, 1), "dense/bias": (1,)})}
    config = {"config": {"layers": [{"config": {"activation": "tanh", "recurrent_activation": "sigmoid"}}]}}
    path = write_h5(tmp_path / "model.h5", arrays, config)
    model = converters.addons_model(path, ["[UNK]", *"abcd"], ["no", "yes"])
    embedding, *cells, kernel, bias = arrays.values()
    x = embedding[[1, 3, 2, 0]]
    for cell in (cells[:6], cells[6:]):
        x = np.stack(list(hidden_states(x, *cell)))
    no, yes = ops.convert_to_numpy(model(model.tokenizer.encode("acb?")[None]))[0]
    assert yes - no == pytest.approx((x[-1] @ kernel + bias)[0], abs=1e-5)


class Bomb:
    def __reduce__(self):
        return (open, ("canary", "w"))


def test_what_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell, path = drawn(CELL), tmp_path / "weights"

    def write(**arrays):
        with path.open("wb") as file:
            np.savez(file, allow_pickle=True, **arrays)

    def configured(**options):
        config = {"layers": [{"activation": "tanh", "recurrent_activation": "sigmoid", **options}]}
        write_h5(path, {f"rnn/{name}": array for name, array in cell.items()}, config)

    def bidirectional():
        write_h5(path, {f"bidirectional/forward_rnn/{name}": array for name, array in cell.items()})

    def unlisted():
        with h5py.File(write_h5(path, {f"rnn/{name}": array for name, array in cell.items()}), "r+") as file:
            del file.attrs["layer_names"]

    def bomb():
        with path.open("wb") as file:
            np.savez_compressed(file, kernel=np.zeros(10**6))

    def lying_header():
        write(**cell)
        path.write_bytes(path.read_bytes().replace(b"(3, 16)", b"(3, 99)"))

    def unwhole():
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("kernel.npy", b"\x93NUMPY\x01\x00")

    for spoil, message in [
        (lambda: write(**{**cell, "kernel": np.array([Bomb()] * 3)}), "not a plain array"),
        (lambda: path.write_bytes(pickle.dumps(Bomb())), "neither HDF5 nor .npz"),
        (lambda: write(**{**cell, "bias": np.full(4 * UNITS, np.inf)}), "not finite"),
        (lambda: write(**{**cell, "bias": np.zeros(4 * UNITS, "int32")}), "not an array of floats"),
        (lambda: write(**{**cell, "bias": np.zeros(UNITS)}), "shape of bias should be .16,., it is .4,."),
        (lambda: write(**{**cell, "kernel": np.float32(1)}), "single number"),
        (lambda: write(kernel=cell["kernel"], recurrent_kernel=cell["recurrent_kernel"]), "Cell with all of"),
        (lambda: write(**language_model()), "has 2 peephole cells.*addons_model"),
        (lambda: write(), "has 0 peephole cells"),
        (lambda: configured(recurrent_activation="hard_sigmoid"), "hard_sigmoid.*Train it anew"),
        (lambda: configured(go_backwards=True), "go_backwards"),
        (bidirectional, "half of a Bidirectional"),
        (unlisted, "not laid out as Keras 2"),
        (bomb, "is compressed"),
        (lying_header, "not"),
        (unwhole, "not"),
    ]:  # fmt: skip
        spoil()
        with pytest.raises((UnsafeCheckpoint, IncompatibleCheckpoint), match=message):
            converters.addons_peephole(path)
    assert not (tmp_path / "canary").exists()


def test_what_is_no_whole_model(tmp_path, capsys):
    path = write_npz(tmp_path / "cell.npz", drawn(CELL))
    assert cli.main(["convert", "addons-peephole", str(path), str(tmp_path / "zoo")]) == 2
    assert "has 0 embeddings, 1 peephole cells and 0 dense layers" in capsys.readouterr().err
