"""Speed of training the language models, beside the same models with Keras' own layers, in one interleaved run.

    python benchmarks/training.py

Characters a second of whole training steps (forward, backward, clipping, AdamW, moving average) of 128 timesteps on
TensorFlow's CPU: one layer of 512 units, batch 32, float32, Keras' layers with XLA and without; then an mLSTM of 1,024
units, batch 64, in float32 and in mixed bfloat16, each with XLA and without.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras  # noqa: E402
import numpy as np  # noqa: E402

import zoo  # noqa: E402
from benchmarks.layers import medians  # noqa: E402
from zoo.backend import training_step  # noqa: E402
from zoo.models import encoder  # noqa: E402

STEPS = 128
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def run(recurrent, layer, jit, units=512, batch_size=32, precision="float32"):
    """A function that takes one training step of a model with this layer."""
    keras.config.set_dtype_policy(precision)
    ours = encoder.RECURRENT[recurrent]
    encoder.RECURRENT[recurrent] = layer
    config = zoo.models.LanguageModelConfig(256, recurrent, units=units, dropout=0.4)
    model = zoo.models.LanguageModel(config, zoo.tokenizers.ByteTokenizer())
    encoder.RECURRENT[recurrent] = ours
    optimizer = keras.optimizers.AdamW(1e-3, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    averages = [keras.Variable(v, trainable=False) for v in model.trainable_variables]
    batch = (np.random.default_rng(0).integers(0, 256, (batch_size, STEPS), dtype="int32"),) * 2
    state = model.initial_state(batch_size)
    step, _ = training_step(model, optimizer, model.training_loss, averages, 0.999, jit_compile=jit)
    step(batch, state)  # compiled while the precision is set
    keras.config.set_dtype_policy("float32")
    return lambda: float(step(batch, state)[0])


def main():
    layers()
    print()
    precisions()


def rates(runs, batch_size):
    return {name: batch_size * STEPS / seconds for name, seconds in medians(runs, 7).items()}


def layers():
    runs = {}
    for recurrent, layer in KERAS.items():
        runs[f"zoo {recurrent}"] = run(recurrent, encoder.RECURRENT[recurrent], jit=True)
        runs[f"keras {recurrent}, XLA"] = run(recurrent, layer, jit=True)
        runs[f"keras {recurrent}"] = run(recurrent, layer, jit=False)
    rate = rates(runs, 32)
    print("| | characters a second | zoo's gain |\n| --- | --- | --- |")
    for name, value in rate.items():
        ours = rate[f"zoo {name.split()[1].strip(',')}"]
        print(f"| {name} | {value:,.0f} | {ours / value:.2f} |")


def precisions():
    runs = {}
    for precision in ("float32", "mixed_bfloat16"):
        for jit in (True, False):
            name = f"{precision}, {'XLA' if jit else 'no XLA'}"
            runs[name] = run("mlstm", encoder.RECURRENT["mlstm"], jit, 1024, 64, precision)
    rate = rates(runs, 64)
    print("| mlstm, 1,024 units | characters a second | of float32 with XLA |\n| --- | --- | --- |")
    for name, value in rate.items():
        print(f"| {name} | {value:,.0f} | {value / rate['float32, XLA']:.2f} |")


if __name__ == "__main__":
    main()
