"""A tiny translator that has learnt to write words backwards, for several tests."""

import keras
import numpy as np

import zoo
from zoo import translator_training
from zoo.pairs import pairs

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


def trained(folder):
    """Trains it; gives what `zoo.load` gives."""
    zoo.training.claim_folder(folder)
    model = untrained()
    translator_training.fit(
        model,
        examples(3000, seed=1),
        examples(40, seed=2),
        lambda history: zoo.save(model, folder / "best"),
        output=folder,
        settings={},
        batch_tokens=256,
        epochs=10,
        learning_rate=1e-2,
        warmup=30,
        average=0.0,
        label_smoothing=0.0,
        report=lambda line: None,
    )
    return zoo.load(folder)
