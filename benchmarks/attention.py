"""Speed of `zoo.layers.AttentionLSTM`, forward and backward, beside the same decoder in Keras and in torch.

    python benchmarks/attention.py               # every backend there is, one process each

The same decoder: keys projected once, then at each step attention with the hidden state before it and an LSTM step on
the input beside the context (Bahdanau), or an LSTM step on the input beside the attentional vector and attention with
the hidden state after it (Luong), in `keras.layers.RNN` with a cell that holds the memory, and in a loop around
`torch.nn.LSTMCell`. Figures are milliseconds, float32; ratios are within one interleaved run.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.layers import SETTINGS, medians

SHAPES = ((64, 30, 30, 256, 512, 1024), (32, 50, 50, 256, 256, 512))  # batch, time, source, inputs, units, memory
DECODERS = {"Bahdanau": ("additive", "before"), "Luong": ("general", "after")}


def keras_decoder(units, attention, attend):
    """The decoder as one writes it with `keras.layers.RNN`: a function of sequences and memory, and its weights."""
    import keras
    from keras import ops

    class Decoder(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.cell = keras.layers.LSTMCell(units)
            self.project_keys = keras.layers.Dense(units, use_bias=False)
            if attention == "additive":
                self.project_query = keras.layers.Dense(units, use_bias=False)
                self.score = keras.layers.Dense(1, use_bias=False)
            if attend == "after":
                self.attentional = keras.layers.Dense(units, activation="tanh", use_bias=False)
            self.state_size = [units, units] if attend == "before" else [units, units, units]
            self.output_size = units

        def build(self, inputs_shape):
            features = self.memory.shape[-1]
            self.cell.build((None, inputs_shape[-1] + (features if attend == "before" else units)))
            if attention == "additive":
                self.project_query.build((None, units))
                self.score.build((None, units))
            if attend == "after":
                self.attentional.build((None, features + units))

        def look(self, h):
            if attention == "additive":
                e = self.score(ops.tanh(self.keys + self.project_query(h)[:, None]))[:, :, 0]
            else:
                e = ops.einsum("bsu,bu->bs", self.keys, h)
            return ops.einsum("bs,bsm->bm", ops.softmax(e), self.memory)

        def call(self, inputs, states):
            h, c, *fed = states
            if attend == "before":
                return self.cell(ops.concatenate([inputs, self.look(h)], axis=-1), [h, c])
            h, (h, c) = self.cell(ops.concatenate([inputs, fed[0]], axis=-1), [h, c])
            output = self.attentional(ops.concatenate([self.look(h), h], axis=-1))
            return output, [h, c, output]

    decoder = Decoder()
    layer = keras.layers.RNN(decoder, return_sequences=True)

    def run(x, memory):
        decoder.memory, decoder.keys = memory, decoder.project_keys(memory)
        return layer(x)

    return run, layer


def keras_run(function, layer, arrays, jit):
    """A function that runs forward and backward once."""
    import keras

    tensors = [keras.ops.convert_to_tensor(x) for x in arrays]
    function(*tensors)
    variables = layer.trainable_variables
    if keras.backend.backend() == "jax":
        import jax

        def loss(values, tensors):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return keras.ops.sum(function(*tensors))

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
        values = [v.value for v in variables]
        return lambda: jax.block_until_ready(gradient(values, tensors))

    import tensorflow as tf

    @tf.function(jit_compile=jit)
    def gradient(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = tf.reduce_sum(function(*tensors))
        return tape.gradient(loss, [*tensors, *(v.value for v in variables)])

    return lambda: [g.numpy() for g in gradient(*tensors)]


def torch_run(units, attention, attend, arrays):
    """The decoder as a loop around `torch.nn.LSTMCell`."""
    import torch

    torch.set_num_threads(os.cpu_count())
    x, memory = (torch.tensor(array, requires_grad=True) for array in arrays)
    features = memory.shape[-1]
    cell = torch.nn.LSTMCell(x.shape[-1] + (features if attend == "before" else units), units)
    project_keys, project_query = torch.nn.Linear(features, units, False), torch.nn.Linear(units, units, False)
    score, attentional = torch.nn.Linear(units, 1, False), torch.nn.Linear(features + units, units, False)

    def look(h, keys):
        e = (
            score(torch.tanh(keys + project_query(h)[:, None]))[..., 0]
            if attention == "additive"
            else (keys @ h[..., None])[..., 0]
        )
        return (torch.softmax(e, -1)[:, None] @ memory)[:, 0]

    def run():
        keys, outputs = project_keys(memory), []
        h = c = a = torch.zeros(x.shape[0], units)
        for x_t in x.unbind(1):
            h, c = cell(torch.cat([x_t, look(h, keys) if attend == "before" else a], -1), (h, c))
            if attend == "after":
                a = torch.tanh(attentional(torch.cat([look(h, keys), h], -1)))
            outputs.append(h if attend == "before" else a)
        torch.stack(outputs).sum().backward()

    return run


def table(setting, rounds):
    """Prints the table of one backend."""
    import numpy as np

    import zoo

    jit = setting == "tensorflow-xla"
    print(f"\n### {setting}\n\n| | " + " | ".join(map(str, SHAPES)) + " |\n|" + " --- |" * (len(SHAPES) + 1))
    for name, (attention, attend) in DECODERS.items():
        rows = {}
        for batch, time, source, inputs, units, features in SHAPES:
            random = np.random.default_rng(0)
            arrays = [
                random.standard_normal(shape, dtype="float32")
                for shape in ((batch, time, inputs), (batch, source, features))
            ]
            layer = zoo.layers.AttentionLSTM(units, attention=attention, attend=attend, return_sequences=True)
            runs = {
                "zoo": keras_run(lambda x, memory, layer=layer: layer(x, memory=memory), layer, arrays, jit),
                "keras": keras_run(*keras_decoder(units, attention, attend), arrays, jit),
                "torch": torch_run(units, attention, attend, arrays),
            }
            found = medians(runs, rounds)
            for peer, seconds in found.items():
                ratio = "" if peer == "zoo" else f" ({seconds / found['zoo']:.2f} x zoo)"
                rows.setdefault(peer, []).append(f"{seconds * 1000:.0f}{ratio}")
        for peer, cells in rows.items():
            print(f"| {name}, {peer} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # what one of the processes measures
    options = parser.parse_args()
    if options.only:
        table(options.only, options.rounds)
        return
    for setting in options.backends:
        environment = {**os.environ, "KERAS_BACKEND": setting.split("-")[0], "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, "--only", setting, "--rounds", str(options.rounds)]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
