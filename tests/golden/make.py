"""Makes the golden checkpoint of the present format version. Run once for each version, and commit what it writes:

python tests/golden/make.py
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TEXT = "the quick brown fox jumps over the lazy dog\n"


def logits(model):
    """What the model says to TEXT, `(time, vocabulary)`."""
    from keras import ops

    return ops.convert_to_numpy(model(model.tokenizer.encode(TEXT)[None]))[0]


def main():
    sys.path.insert(0, str(HERE.parent.parent))
    import zoo

    tokenizer = zoo.tokenizers.CharacterTokenizer.of(TEXT)
    config = zoo.models.LanguageModelConfig(tokenizer.vocabulary_size, "mlstm", units=5, layers=2, embedding_size=3)
    model = zoo.models.LanguageModel(config, tokenizer)
    rng = np.random.default_rng(0)
    for weight in model.named_weights().values():
        weight.assign(rng.normal(0.0, 0.5, weight.shape).astype("float16"))
    name = f"version-{zoo.checkpoint.FORMAT_VERSION}"
    zoo.save(model, HERE / name, {"description": "A model of noise.", "training": {"seed": 0}}, dtype="float16")
    (HERE / f"{name}.json").write_text(json.dumps(np.round(logits(model).astype(float), 6).tolist()) + "\n")


if __name__ == "__main__":
    main()
