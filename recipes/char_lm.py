"""A character-level language model from a text (Karpathy 2015), with the split of nanoGPT's shakespeare_char.

    python recipes/char_lm.py --recurrent mlstm --output runs/mlstm-shakespeare

On two CPU cores shared with other work this took 18 minutes, and reached 1.4447 nats a character on the last tenth of
tiny_shakespeare; the best epoch was chosen on the first twentieth. nanoGPT's transformer of 10.7 million weights
reaches 1.4697, this model has 1.9 million. MODEL_CARDS.md has the other architectures under the same protocol.
"""

import argparse
import functools
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import keras  # noqa: E402

import zoo  # noqa: E402
from recipes import data, messages  # noqa: E402
from zoo import distributed  # noqa: E402
from zoo.stored_weights import DTYPES  # noqa: E402

UNITS = {"rnn": 1280, "lstm": 640, "peephole": 640, "gru": 736, "mlstm": 571}  # 1.9 million parameters each
FULL_NAMES = {
    "rnn": "simple RNN",
    "lstm": "LSTM",
    "peephole": "peephole LSTM",
    "gru": "GRU",
    "mlstm": "multiplicative LSTM",
}
WARMUP = 200  # steps
NO_RESULT = ("output", "manual_dir", "checkpoint_minutes", "distribute")  # options that do not change the weights


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", required=True, type=Path, help="folder of the run: best checkpoint, state, log, curve")
    add("--text", type=Path, help="train on this UTF-8 file, .gz and .xz too; without it, TFDS tiny_shakespeare")
    add("--manual-dir", type=Path, help="folder with tiny_shakespeare's input.txt, where there is no network")
    add("--tokenizer", choices=("characters", "bytes"), default="characters")
    add("--recurrent", choices=tuple(UNITS), default="mlstm")
    add("--units", type=positive, help=f"of each layer; without it {UNITS}")
    add("--layers", type=positive, default=1)
    add("--embedding-size", type=positive, default=64)
    add("--tied", action="store_true", help="softmax with the embedding's matrix")
    add("--weight-normalization", action="store_true", help="mlstm only")
    add("--forget-bias", type=float, default=1.0)
    add("--embedding-dropout", type=float, default=0.0)
    add("--dropout", type=float, default=0.5, help="between the layers and before the softmax")
    add("--recurrent-dropout", type=float, default=0.25, help="of the hidden state on its way to the next timestep")
    add("--batch-size", type=positive, default=32)
    add("--steps", type=positive, default=64, help="timesteps of truncated back-propagation")
    add("--epochs", type=positive, default=10)
    add("--learning-rate", type=float, default=2e-3, help="peak; then cosine to a hundredth")
    add("--weight-decay", type=float, default=0.0)
    add("--clip-norm", type=float, default=1.0)
    add("--average", type=float, default=0.999, help="momentum of the moving average of the weights; 0 for none")
    add("--patience", type=int, help="stop after so many epochs without improvement")
    add("--validation", type=float, default=0.05, help="fraction, at the beginning, to choose by; 0: none")
    add("--seed", type=int, default=1)
    add("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    add("--store", choices=DTYPES, default="float16", help="type of the weights on disk")
    add("--checkpoint-minutes", type=float, default=5.0)
    add("--distribute", choices=distributed.CHOICES, help="train on several devices, or processes of a cluster (JAX)")
    add("--smoke", action="store_true", help="a tiny model for a minute, to see that all works")
    options = parser.parse_args(argv)
    if options.smoke:
        smoke = {"units": 16, "embedding_size": 8, "batch_size": 4, "steps": 16, "epochs": 2}
        parser.set_defaults(**smoke)
        options = parser.parse_args(argv)
    options.units = options.units or UNITS[options.recurrent]
    if not 0 <= options.validation < 0.9:
        parser.error("--validation must be at least 0 and below 0.9; the last tenth is for the test")
    return options, parser


def command(options, parser):
    """The command line that repeats this run, without what does not change its result."""
    words = ["python", "recipes/char_lm.py"]
    for name, value in vars(options).items():
        if name in NO_RESULT or value == parser.get_default(name):
            continue
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else [flag, value.name if name == "text" else str(value)]
    return shlex.join([*words, "--output", f"runs/{options.output.name}"])


def main(argv=None):
    options, parser = arguments(argv)
    settings = {k: v for k, v in vars(options).items() if k not in (*NO_RESULT, "text", "smoke")}
    distributed.start(options.distribute)
    keras.config.set_dtype_policy(options.precision)
    keras.utils.set_random_seed(options.seed)
    text, record = data.corpus(options.text, options.manual_dir)
    train, validation, test = data.split(text, options.validation)
    bytewise = options.tokenizer == "bytes"
    tokenizer = zoo.tokenizers.ByteTokenizer() if bytewise else zoo.tokenizers.CharacterTokenizer.of(text)
    streams = functools.partial(zoo.streams.Streams, steps=options.steps, seed=options.seed, unit=options.tokenizer)
    batches = streams(tokenizer.encode(train), options.batch_size)
    held_back = streams(tokenizer.encode(validation), min(options.batch_size, 8)) if options.validation else None
    zoo.training.claim_folder(options.output)

    fields = {name: settings[name] for name in zoo.models.LanguageModelConfig.__dataclass_fields__ if name in settings}
    config = zoo.models.LanguageModelConfig(vocabulary_size=tokenizer.vocabulary_size, **fields)
    model = zoo.models.LanguageModel(config, tokenizer)
    print(f"{options.recurrent}: {model.count_params():,} weights, {len(train):,} characters to train on", flush=True)
    steps = options.epochs * len(batches)
    warmup = min(WARMUP, steps // 10)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            0.0, steps - warmup, alpha=0.01, warmup_target=options.learning_rate, warmup_steps=warmup
        ),
        weight_decay=options.weight_decay,
        beta_2=0.99,
        global_clipnorm=options.clip_norm,
    )
    training = {"command": command(options, parser), "data": record, "seed": options.seed}
    training |= zoo.training.environment()

    def save(history):
        training.update(minutes=history[-1]["minutes"], history=history)
        zoo.save(model.folded(), options.output / "best", {"training": training}, dtype=options.store)

    zoo.training.fit(
        model,
        optimizer,
        model.training_loss,
        batches,
        functools.partial(model.mean_loss, held_back) if held_back else None,
        save,
        folder=options.output,
        epochs=options.epochs,
        carry=model.initial_state(options.batch_size),
        settings={**settings, "data": record},
        average=options.average,
        patience=options.patience,
        checkpoint_minutes=options.checkpoint_minutes,
        report=functools.partial(print, flush=True),
    )
    if not distributed.end():
        return
    keras.config.set_dtype_policy("float32")  # as whoever loads it
    score = zoo.load(options.output).score(test)
    file = options.text.name if options.text else "input.txt"
    metric = {
        "data": f"the last tenth of {record['name']}, {score.characters:,} characters",
        "figures": {name: getattr(score, name) for name in ("nats_per_character", "bits_per_character")},
        "command": f"zoo evaluate {options.output.name} --text {file} --last 0.1",
    }
    description = describe(options, config, record)
    zoo.checkpoint.update_manifest(options.output / "best", description=description, metrics=[metric])
    print(f"test: {score.nats_per_character:.4f} nats, {score.bits_per_character:.4f} bits a character")
    print(f"zoo generate {options.output} --prompt {text[:10]!r}")


def describe(options, config, record):
    return (
        f"A language model of {options.tokenizer} with {config.layers} x {config.units} units of "
        f"{FULL_NAMES[config.recurrent]}, trained on {record['name']}."
    )


def positive(word):
    number = int(word)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    with messages():
        main()
