"""Speed of training the language models, beside the same models with Keras' own layers, in one interleaved run.

    python benchmarks/training.py

Characters a second of whole training steps (forward, backward, clipping, AdamW, moving average), TensorFlow CPU,
float32, batch 32, 128 timesteps, one layer of 512 units. Keras' layers are measured with XLA and without.
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
from zoo.models import language_model  # noqa: E402

BATCH, STEPS, UNITS = 32, 128, 512
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def run(recurrent, layer, jit):
    """A function that takes one training step of a model with this layer."""
    ours = language_model.RECURRENT[recurrent]
    language_model.RECURRENT[recurrent] = layer
    config = zoo.models.LanguageModelConfig(256, recurrent, units=UNITS, dropout=0.4)
    model = zoo.models.LanguageModel(config, zoo.tokenizers.ByteTokenizer())
    language_model.RECURRENT[recurrent] = ours
    optimizer = keras.optimizers.AdamW(1e-3, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    averages = [keras.Variable(v, trainable=False) for v in model.trainable_variables]
    batch = (np.random.default_rng(0).integers(0, 256, (BATCH, STEPS), dtype="int32"),) * 2
    state = model.initial_state(BATCH)
    step, _ = training_step(model, optimizer, model.training_loss, averages, 0.999, jit_compile=jit)
    return lambda: float(step(batch, state)[0])


def main():
    runs = {}
    for recurrent, layer in KERAS.items():
        runs[f"zoo {recurrent}"] = run(recurrent, language_model.RECURRENT[recurrent], jit=True)
        runs[f"keras {recurrent}, XLA"] = run(recurrent, layer, jit=True)
        runs[f"keras {recurrent}"] = run(recurrent, layer, jit=False)
    rate = {name: BATCH * STEPS / seconds for name, seconds in medians(runs, 7).items()}
    print("| | characters a second | zoo's gain |\n| --- | --- | --- |")
    for name, value in rate.items():
        ours = rate[f"zoo {name.split()[1].strip(',')}"]
        print(f"| {name} | {value:,.0f} | {ours / value:.2f} |")


if __name__ == "__main__":
    main()
