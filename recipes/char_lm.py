"""A character-level language model from a text (Karpathy 2015), with the split of nanoGPT's shakespeare_char.

    python recipes/char_lm.py --recurrent mlstm --output runs/mlstm-shakespeare

On two CPU cores shared with other work this took 18 minutes, and reached 1.4447 nats a character on the last tenth of
tiny_shakespeare; the best epoch was chosen on the first twentieth. nanoGPT's transformer of 10.7 million weights
reaches 1.4697, this model has 1.9 million. MODEL_CARDS.md has the other architectures under the same protocol.
"""

import argparse
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import zoo  # noqa: E402
from recipes import data, language_models, messages  # noqa: E402

SMOKE = {"units": 16, "embedding_size": 8, "batch_size": 4, "steps": 16, "epochs": 2}


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--text", type=Path, help="train on this UTF-8 file, .gz and .xz too; without it, TFDS tiny_shakespeare")
    add("--manual-dir", type=Path, help="folder with tiny_shakespeare's input.txt, where there is no network")
    add("--tokenizer", choices=("characters", "bytes"), default="characters")
    add("--validation", type=float, default=0.05, help="fraction, at the beginning, to choose by; 0: none")
    language_models.add_options(add)
    options = language_models.parsed(parser, argv, SMOKE)
    if not 0 <= options.validation < 0.9:
        parser.error("--validation must be at least 0 and below 0.9; the last tenth is for the test")
    return options, parser


def main(argv=None):
    options, parser = arguments(argv)
    language_models.begin(options)
    text, record = data.corpus(options.text, options.manual_dir)
    train, validation, test = data.split(text, options.validation)
    bytewise = options.tokenizer == "bytes"
    tokenizer = zoo.tokenizers.ByteTokenizer() if bytewise else zoo.tokenizers.CharacterTokenizer.of(text)
    streams = functools.partial(zoo.streams.Streams, steps=options.steps, seed=options.seed, unit=options.tokenizer)
    batches = streams(tokenizer.encode(train), options.batch_size)
    held_back = streams(tokenizer.encode(validation), min(options.batch_size, 8)) if options.validation else None
    config = language_models.config_of(options, tokenizer)
    training = {"command": language_models.command("char_lm", options, parser), "data": record}
    print(f"{len(train):,} characters to train on", flush=True)
    if not language_models.train(options, config, tokenizer, batches, held_back, training):
        return
    score = zoo.load(options.output).score(test)
    file = options.text.name if options.text else "input.txt"
    metric = {
        "data": f"the last tenth of {record['name']}, {score.characters:,} characters",
        "figures": {name: getattr(score, name) for name in ("nats_per_character", "bits_per_character")},
        "command": f"zoo evaluate {options.output.name} --text {file} --last 0.1",
    }
    description = (
        f"A language model of {options.tokenizer} with {options.layers} x {options.units} units of "
        f"{language_models.FULL_NAMES[options.recurrent]}, trained on {record['name']}."
    )
    zoo.checkpoint.update_manifest(options.output / "best", description=description, metrics=[metric])
    print(f"test: {score.nats_per_character:.4f} nats, {score.bits_per_character:.4f} bits a character")
    print(f"zoo generate {options.output} --prompt {text[:10]!r}")


if __name__ == "__main__":
    with messages():
        main()
