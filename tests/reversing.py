"""A tiny translator that has learnt to write words backwards, for several tests. It lies beside this file, made by

python -m tests.reversing
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo import translator_training
from zoo.pairs import pairs

FOLDER = Path(__file__).parent / "reverser"
LETTERS = "abcdef"


def examples(count, seed):
    """Pairs such as `("ab cfe", "efc ba")`, all of one padded length, so that little is compiled."""
    random, found = np.random.default_rng(seed), []
    while len(found) < count:
        words = ["".join(random.choice(list(LETTERS), random.integers(1, 4))) for _ in range(random.integers(1, 3))]
        found.append(" ".join(words))
    return pairs(found, [text[::-1] for text in found])


def untrained():
    """The translator before it has learnt anything."""
    tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    keras.utils.set_random_seed(1)
    return zoo.models.Translator(zoo.models.TranslatorConfig(256, 256, units=64, embedding_size=32), tokenizer)


def trained():
    """The translator that `train` has made."""
    return zoo.load(FOLDER)


def train(folder):
    """Trains it, in the folder of a run."""
    model = untrained()
    translator_training.fit(
        model,
        examples(3000, seed=1),
        examples(40, seed=2),
        lambda history: zoo.save(model, folder / "best", {"training": {"history": history}}, dtype="float16"),
        output=folder,
        settings={},
        batch_tokens=256,
        epochs=10,
        learning_rate=1e-2,
        warmup=30,
        average=0.0,
        label_smoothing=0.0,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as run:
        train(Path(run))
        zoo.checkpoint.copy(Path(run) / "best", FOLDER, description="Writes words of a to f backwards.")
