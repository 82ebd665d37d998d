"""Speed of generation, one layer of 512 units, beside a torch loop and the two matrix-vector products in NumPy.

    python benchmarks/generation.py

Milliseconds a character, batch 1 and 64, all in one interleaved run. The floor is what each character needs at least:
the product of the hidden state with the recurrent kernel (512 x 2,048), and that of the input of 512 with its kernel.
The zoo's loop keeps the second one in a table, for all characters at once.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.layers import medians  # noqa: E402

UNITS, VOCABULARY, LENGTH = 512, 256, 1024


def contestants():
    import numpy as np

    import zoo

    tokenizer = zoo.tokenizers.CharacterTokenizer("".join(map(chr, range(32, 31 + VOCABULARY))))
    config = zoo.models.LanguageModelConfig(VOCABULARY, "lstm", units=UNITS, embedding_size=UNITS)
    model = zoo.models.LanguageModel(config, tokenizer)
    settings = {"length": LENGTH, "temperature": 0.8, "seed": 1}
    runs = {
        "zoo, batch 1": lambda: model.generate("a", **settings),
        "zoo, batch 64": lambda: model.generate(["a"] * 64, **settings),
    }
    kernel = np.random.default_rng(0).standard_normal((UNITS, 4 * UNITS), dtype="float32")
    other, vector = kernel.copy(), np.ones(UNITS, "float32")

    def floor():
        for _ in range(LENGTH):
            vector @ kernel
            vector @ other

    runs["two products in NumPy"] = floor
    return runs | _torch_loop()


def _torch_loop():
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(os.cpu_count())
    embedding, lstm = torch.nn.Embedding(VOCABULARY, UNITS), torch.nn.LSTM(UNITS, UNITS)
    output = torch.nn.Linear(UNITS, VOCABULARY)

    def loop():
        with torch.inference_mode():
            token, state = torch.zeros((1, 1), dtype=torch.long), None
            for _ in range(LENGTH):
                hidden, state = lstm(embedding(token), state)
                token = torch.multinomial(torch.softmax(output(hidden[0]) / 0.8, -1), 1)

    return {"torch.nn.LSTM loop, batch 1": loop}


def cold_start():
    """Seconds from an empty process to the first character of `zoo generate`."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "zoo.cli", "generate", "mlstm-shakespeare", "--seed", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        process.stdout.read(1)
        seconds.append(time.perf_counter() - start)
        process.kill()
        process.wait()
    return sorted(seconds)[1]


def main():
    found = {name: seconds / LENGTH * 1e3 for name, seconds in medians(contestants(), 5).items()}
    print("| | ms a character | ratio to zoo, batch 1 |\n| --- | --- | --- |")
    for name, value in found.items():
        print(f"| {name} | {value:.3f} | {value / found['zoo, batch 1']:.2f} |")
    print(f"\nFirst character of `zoo generate mlstm-shakespeare` from a cold start: {cold_start():.1f} s")


if __name__ == "__main__":
    main()
