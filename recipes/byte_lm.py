"""A language model of bytes, from texts with a split of their own: WikiText-2 as in Krause et al. 2016, section 4.3.

    python recipes/byte_lm.py --data wikitext2 --weight-normalization --precision mixed_bfloat16 --store float32 \\
        --output runs/mlstm-wikitext2
    python recipes/compact.py runs/mlstm-wikitext2 --store float16 --data wikitext2 \\
        --output runs/float16/mlstm-wikitext2

The folder has `train.tokens`, `valid.tokens` and `test.tokens`, as they are or as `.xz` or `.gz`; a prefix `wiki.` is
allowed. The best epoch is chosen on the validation file; the figures are of the whole test file, every byte counted,
the state carried from its start to its end. The defaults suit two CPU cores. On these it took 240 minutes, some of them
beside other work, and reached 1.3957 bits a byte and 141.2 as the perplexity of a word with 6.2 million weights; the
paper's 46 million reach 1.26 and 88.8. The command for that size:

    KERAS_BACKEND=jax python recipes/byte_lm.py --data wikitext2 --weight-normalization --units 2800 \\
        --embedding-size 400 --batch-size 128 --precision mixed_bfloat16 --epochs 60 --output runs/mlstm-wikitext2
"""

import argparse
import hashlib
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import zoo  # noqa: E402
from recipes import language_models, messages  # noqa: E402
from zoo.streams import Streams  # noqa: E402
from zoo.text_files import byte_tokens, read_text  # noqa: E402

SMOKE = {"units": 16, "embedding_size": 8, "batch_size": 4, "steps": 16, "epochs": 2, "parts": 1}


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="folder with train.tokens, valid.tokens and test.tokens (UTF-8)")
    add("--parts", type=language_models.positive, default=2, help="an epoch is one of so many parts of the text")
    language_models.add_options(add, units=1024)
    parser.set_defaults(embedding_size=128, dropout=0.2, recurrent_dropout=0.1)
    parser.set_defaults(batch_size=64, steps=128, epochs=10)
    options = language_models.parsed(parser, argv, SMOKE)
    return options, parser


def main(argv=None):
    options, parser = arguments(argv)
    language_models.begin(options)
    files = {part: file_of(options.data, part) for part in ("train", "valid", "test")}
    train, valid, test = byte_tokens(files["train"]), byte_tokens(files["valid"]), read_text(files["test"])
    if not test:
        raise ValueError(f"{files['test']} is empty.")
    name = options.data.resolve().name
    data = {"name": name, "sha256": hashlib.sha256(train).hexdigest(), "bytes": len(train)}
    held_back = {"valid": valid, "test": test.encode()}
    data["held_back"] = {part: hashlib.sha256(text).hexdigest() for part, text in held_back.items()}
    tokenizer = zoo.tokenizers.ByteTokenizer()
    config = language_models.config_of(options, tokenizer)
    batches = Streams(train, options.batch_size, options.steps, options.seed, "bytes", options.parts)
    held_back = Streams(valid, min(options.batch_size, 64), options.steps, unit=f"bytes in {files['valid'].name}")
    training = {"command": language_models.command("byte_lm", options, parser), "data": data}
    print(f"{len(train):,} bytes to train on", flush=True)
    if not language_models.train(options, config, tokenizer, batches, held_back, training):
        return
    score = zoo.load(options.output).score(test)
    figures = {name: getattr(score, name) for name in ("bits_per_byte", "word_perplexity")}
    figures = {name: value for name, value in figures.items() if math.isfinite(value)}  # a text may be one endless word
    metric = {
        "data": f"the test file of {name}, {score.bytes:,} bytes, {score.words:,} words",
        "figures": figures,
        "command": f"zoo evaluate {options.output.name} --text {files['test'].name}",
    }
    description = (
        f"A language model of bytes with {options.layers} x {options.units} units of "
        f"{language_models.FULL_NAMES[options.recurrent]}, trained on {name}."
    )
    zoo.checkpoint.update_manifest(options.output / "best", description=description, metrics=[metric])
    print(f"test: {score.bits_per_byte:.4f} bits a byte, word perplexity {score.word_perplexity:.1f}")


def file_of(folder, part):
    """The file of this part of the data."""
    for prefix in ("", "wiki."):
        for suffix in ("", ".xz", ".gz"):
            path = folder / f"{prefix}{part}.tokens{suffix}"
            if path.is_file():
                return path
    raise FileNotFoundError(
        f"{folder} has no {part}.tokens, as it is or as .xz or .gz. WikiText-2 is in wikitext-2-v1.zip of its authors "
        "(wiki.train.tokens, ...); other texts work under these names, too."
    )


if __name__ == "__main__":
    with messages():
        main()
