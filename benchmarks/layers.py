"""Speed of the recurrent layers, forward and backward, beside Keras' and torch's, in one interleaved run.

    python benchmarks/layers.py                  # every backend there is, one process each
    python benchmarks/layers.py --scaling        # time per step and memory from 32 to 1,024 timesteps
    python benchmarks/layers.py --device gpu     # on an accelerator, see accelerator.py

Figures are GFLOP/s of the matrix products, float32: forward 2 * batch * time * (inputs + units) * 4 * units for an
LSTM, forward and backward three times that. The products of a multiplicative LSTM are 5 * units wide, of a GRU
3 * units. Ratios are within the run; absolute figures drift. torch is measured where it is installed.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SHAPES = ((64, 128, 64, 512), (128, 100, 64, 1024))  # batch, time, inputs, units
SETTINGS = ("tensorflow", "tensorflow-xla", "jax")
WIDTH = {"mLSTM": 5, "GRU": 3}  # of the products, in units; 4 for the others


def contestants(jit, batch, timesteps, inputs, units):
    """Name to a function that runs forward and backward once."""
    import keras
    import numpy as np

    import zoo

    x = np.random.default_rng(0).standard_normal((batch, timesteps, inputs), dtype="float32")
    layers = {
        "zoo PeepholeLSTM": zoo.layers.PeepholeLSTM,
        "zoo mLSTM": zoo.layers.MultiplicativeLSTM,
        "zoo LSTM": zoo.layers.LSTM,
        "zoo GRU": zoo.layers.GRU,
        "keras LSTM": keras.layers.LSTM,
        "keras GRU": keras.layers.GRU,
    }
    runs = {name: _keras_run(layer(units, return_sequences=True), x, jit) for name, layer in layers.items()}
    runs |= _torch_runs(x, units)
    return runs


def _keras_run(layer, x, jit):
    import keras

    layer.build(x.shape)
    x = keras.ops.convert_to_tensor(x)
    if keras.backend.backend() == "jax":
        import jax

        variables = layer.trainable_variables

        def loss(values, x):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return keras.ops.sum(layer(x))

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
        values = [v.value for v in variables]
        return lambda: jax.block_until_ready(gradient(values, x))

    import tensorflow as tf

    @tf.function(jit_compile=jit)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    return lambda: [g.numpy() for g in gradient(x)]


def _torch_runs(x, units):
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(os.cpu_count())
    tensor = torch.tensor(x, requires_grad=True)
    left, right = torch.randn(8192, units), torch.randn(units, 4 * units)

    def run(layer):
        return lambda: layer(tensor)[0].sum().backward()

    inputs = x.shape[-1]
    return {
        "torch LSTM": run(torch.nn.LSTM(inputs, units, batch_first=True)),
        "torch GRU": run(torch.nn.GRU(inputs, units, batch_first=True)),
        "matrix product": lambda: left @ right,
    }


def medians(runs, rounds):
    """Median seconds of each function, called in turn, after two rounds of warming up."""
    seconds = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: sorted(values[2:])[rounds // 2] for name, values in seconds.items()}


def table(setting, rounds):
    """Prints the table of one backend."""
    print(f"\n### {setting}\n\n| | " + " | ".join(map(str, SHAPES)) + " |\n|" + " --- |" * (len(SHAPES) + 1))
    rows = {}
    for shape in SHAPES:
        batch, timesteps, inputs, units = shape
        found = medians(contestants(setting == "tensorflow-xla", *shape), rounds)
        rate = {}
        for name, seconds in found.items():
            products = 6 * batch * timesteps * (inputs + units) * WIDTH.get(name.split()[-1], 4) * units
            if name == "matrix product":
                products = 2 * 8192 * units * 4 * units
            rate[name] = products / seconds / 1e9
        for name, value in rate.items():
            ratios = [f"{value / rate[peer]:.2f} x {peer}" for peer in _peers(name) if peer in rate and peer != name]
            rows.setdefault(name, []).append(f"{value:.0f}" + (f" ({', '.join(ratios)})" if ratios else ""))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _peers(name):
    if not name.startswith("zoo"):
        return ()
    return ("keras GRU", "torch GRU") if name.endswith("GRU") else ("keras LSTM", "torch LSTM")


def scaling(timesteps, batch=32, inputs=64, units=256):
    """Prints time per step and peak memory at one length, with XLA on TensorFlow."""
    import numpy as np

    import zoo

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x = np.random.default_rng(0).standard_normal((batch, timesteps, inputs), dtype="float32")
    run = _keras_run(zoo.layers.MultiplicativeLSTM(units, return_sequences=True), x, jit=True)
    seconds = medians({"mLSTM": run}, 5)["mLSTM"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"| {timesteps} | {seconds / timesteps * 1e6:.0f} | {memory / 1024:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--dry-run", action="store_true", help="of --device gpu: tiny sizes, on any device")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # what one of the processes measures
    options = parser.parse_args()
    if options.dry_run and options.device != "gpu" or options.scaling and options.device == "gpu":
        parser.error("--dry-run is for --device gpu, --scaling for the CPU")
    if options.device == "gpu":
        from benchmarks import accelerator

        accelerator.table(options.rounds, options.dry_run)
    elif options.only and options.scaling:
        scaling(int(options.only))
    elif options.only:
        table(options.only, options.rounds)
    elif options.scaling:
        print("| timesteps | microseconds a step | MiB beyond the start |\n| --- | --- | --- |", flush=True)
        for timesteps in (32, 128, 512, 1024):
            _in_process("tensorflow", "--scaling", "--only", str(timesteps))
    else:
        for setting in options.backends:
            _in_process(setting.split("-")[0], "--only", setting, "--rounds", str(options.rounds))


def _in_process(backend, *arguments):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, __file__, *arguments], env=environment, check=True)


if __name__ == "__main__":
    main()
