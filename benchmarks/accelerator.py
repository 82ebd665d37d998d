"""The recurrent layers on one large accelerator: what share of its matrix product's rate they reach. By `layers.py`:

    python benchmarks/layers.py --device gpu                  # JAX, bfloat16 and float32
    python benchmarks/layers.py --device gpu --dry-run        # the same code at tiny sizes, on any device

Forward and backward: TFLOP/s of the matrix products (as `layers.py` counts them), the fraction of the rate of a plain
product in the same run, and GiB beyond the arguments. Peers where torch is installed: `torch.nn.LSTM`, which is that of
cuDNN, and the same mLSTM written as a loop.
"""

import os
import sys
import time

WIDTH = {"mLSTM": 5}  # of the products, in units; 4 for the others
LENGTHS = (128, 256)
SIZES = ((1024, 128), (1024, 1024), (2048, 512), (2048, 1024), (4096, 128), (4096, 512))  # units, batch
DRY_SIZES = ((32, 4), (64, 8))
DTYPES = ("bfloat16", "float32")
INPUTS = 128


def table(rounds, dry):
    """Prints a table for each dtype."""
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch wants memory, too
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu" and not dry:
        sys.exit("JAX sees no accelerator. Install its CUDA or TPU build, or try the code with --dry-run.")
    print(f"{device.device_kind}, jax {jax.__version__}", flush=True)
    lengths, sizes = (LENGTHS, SIZES) if not dry else (LENGTHS[:1], DRY_SIZES)
    for dtype in DTYPES:
        print(f"\n### {dtype}\n\n| time, batch, units | " + " | ".join(CONTESTANTS) + " | plain product |")
        print("|" + " --- |" * (len(CONTESTANTS) + 2))
        for timesteps in lengths:
            for units, batch in sizes:
                rows, shape = batch * timesteps, (batch, timesteps, INPUTS, units)
                limit = 2 * rows * units * 4 * units / seconds_of(product(rows, units, dtype), rounds)
                cells = [cell(name, make, shape, dtype, limit, rounds, dry) for name, make in CONTESTANTS.items()]
                cells = [f"{timesteps}, {batch}, {units}", *cells, f"{limit / 1e12:.2f}"]
                print("| " + " | ".join(cells) + " |", flush=True)


def cell(name, make, shape, dtype, limit, rounds, dry):
    """TFLOP/s, fraction of the limit, and memory of one contestant; or why there are none."""
    batch, timesteps, inputs, units = shape
    try:
        run, memory = make(shape, dtype)
        seconds = seconds_of(run, rounds)
    except (ImportError, RuntimeError) as error:  # no torch, or out of memory: the others go on
        if dry and not isinstance(error, ImportError):
            raise
        return type(error).__name__
    rate = 6 * batch * timesteps * (inputs + units) * WIDTH.get(name.split()[1].rstrip(","), 4) * units / seconds
    return f"{rate / 1e12:.2f} ({rate / limit:.2f}), {memory()}"


def seconds_of(run, rounds):
    """Median, after two rounds of warming up."""
    found = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return sorted(found[2:])[rounds // 2]


def gibibytes(count):
    return f"{count / 2**30:.2f} GiB"


def product(rows, units, dtype):
    import jax

    left, right = jax.numpy.ones((rows, units), dtype), jax.numpy.ones((units, 4 * units), dtype)
    multiply = jax.jit(jax.numpy.matmul)
    return lambda: jax.block_until_ready(multiply(left, right))


def of_zoo(layer_name, recompute=None):
    def make(shape, dtype):
        import jax
        import keras

        import zoo

        batch, timesteps, inputs, units = shape
        policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
        layer = getattr(zoo.layers, layer_name)(units, return_sequences=True, dtype=policy)
        layer.build((None, None, inputs))
        layer.recompute = recompute
        variables = layer.trainable_variables
        values = [v.value for v in variables]
        x = jax.random.normal(jax.random.key(0), (batch, timesteps, inputs), dtype)

        def loss(values, x):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return keras.ops.sum(keras.ops.cast(layer(x), "float32"))

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(values, x).compile()
        needed = gradient.memory_analysis().temp_size_in_bytes
        return lambda: jax.block_until_ready(gradient(values, x)), lambda: gibibytes(needed)

    return make


def of_torch(make_layer):
    def make(shape, dtype):
        import torch

        batch, timesteps, inputs, units = shape
        device, kind = "cuda" if torch.cuda.is_available() else "cpu", getattr(torch, dtype)
        torch.set_float32_matmul_precision("high")  # TF32, as in JAX and cuDNN
        layer = make_layer(inputs, units).to(device, kind)
        x = torch.randn(batch, timesteps, inputs, device=device, dtype=kind, requires_grad=True)

        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()

        def run():
            layer(x)[0].sum().backward()
            if device == "cuda":
                torch.cuda.synchronize()

        return run, lambda: gibibytes(torch.cuda.max_memory_allocated() - before) if device == "cuda" else "-"

    return make


def torch_lstm(inputs, units):
    import torch

    return torch.nn.LSTM(inputs, units, batch_first=True)


def torch_mlstm(inputs, units):
    import torch

    class MultiplicativeLSTM(torch.nn.Module):
        """As one writes it: a loop over time, differentiated by torch."""

        def __init__(self):
            super().__init__()
            self.w, self.m_x = torch.nn.Linear(inputs, 4 * units), torch.nn.Linear(inputs, units, bias=False)
            self.u, self.m_h = (torch.nn.Linear(units, n, bias=False) for n in (4 * units, units))

        def forward(self, x):
            h = c = x.new_zeros(x.shape[0], units)
            by_input, z_input, outputs = self.m_x(x), self.w(x), []
            for t in range(x.shape[1]):
                i, f, g, o = (z_input[:, t] + self.u(by_input[:, t] * self.m_h(h))).chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            return torch.stack(outputs, dim=1), c

    return MultiplicativeLSTM()


CONTESTANTS = {
    "zoo LSTM": of_zoo("LSTM"),
    "zoo peephole": of_zoo("PeepholeLSTM"),
    "zoo mLSTM": of_zoo("MultiplicativeLSTM"),
    "zoo mLSTM, recompute 32": of_zoo("MultiplicativeLSTM", 32),
    "torch LSTM": of_torch(torch_lstm),
    "torch mLSTM loop": of_torch(torch_mlstm),
}
