"""What the recipes of language models share: the options of model and training, and the training itself."""

import argparse
import functools
import math
import shlex
from pathlib import Path

import keras

import zoo
from zoo import distributed
from zoo.stored_weights import DTYPES

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
NO_SETTING = (*NO_RESULT, "recompute", "smoke", "stage", "text", "data")  # a training can go on with others


def add_options(add, units=None):
    """Adds the options of model and training; `add` is `add_argument` of a parser, `units` the default."""
    add("--output", required=True, type=Path, help="folder of the run: best checkpoint, state, log, curve")
    add("--recurrent", choices=tuple(UNITS), default="mlstm")
    add("--units", type=positive, default=units, help=f"of each layer; without it {units or UNITS}")
    add("--layers", type=positive, default=1)
    add("--embedding-size", type=positive, default=64)
    add("--tied", action="store_true", help="softmax with the embedding's matrix")
    add("--weight-normalization", action=argparse.BooleanOptionalAction, default=False, help="mlstm only")
    add("--forget-bias", type=float, default=1.0)
    add("--embedding-dropout", type=float, default=0.0)
    add("--dropout", type=float, default=0.5, help="between the layers and before the softmax")
    add("--recurrent-dropout", type=float, default=0.25, help="of the hidden state on its way to the next timestep")
    add("--batch-size", type=positive, default=32)
    add("--steps", type=positive, default=64, help="timesteps of truncated back-propagation")
    add("--epochs", type=positive, default=10)
    add("--learning-rate", type=above_zero, default=2e-3, help="peak; then cosine to a hundredth")
    add("--weight-decay", type=float, default=0.0)
    add("--clip-norm", type=above_zero, default=1.0)
    add("--average", type=float, default=0.999, help="momentum of the moving average of the weights; 0 for none")
    add("--patience", type=positive, help="stop after so many epochs without improvement")
    add("--seed", type=int, default=1)
    add("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    add("--store", choices=DTYPES, default="float16", help="type of the weights on disk")
    add("--recompute", type=positive, help="keep activations of so many timesteps at a time")
    add("--checkpoint-minutes", type=float, default=5.0)
    add("--distribute", choices=distributed.CHOICES, help="train on several devices, or processes of a cluster (JAX)")
    add("--smoke", action="store_true", help="a tiny model for a minute, to see that all works")


def parsed(parser, argv, smoke):
    """The options, with other defaults if they say `--smoke`."""
    options = parser.parse_args(argv)
    if options.smoke:
        parser.set_defaults(**smoke)
        options = parser.parse_args(argv)
    options.units = options.units or UNITS[options.recurrent]
    return options


def command(recipe, options, parser):
    """The command line that repeats this run, without what does not change its result; of files only the names."""
    words = ["python", f"recipes/{recipe}.py"]
    for name, value in vars(options).items():
        if name in NO_RESULT or value == parser.get_default(name):
            continue
        flag = ("--no-" if value is False else "--") + name.replace("_", "-")
        value = value.resolve().name if isinstance(value, Path) else value
        words += [flag] if isinstance(value, bool) else [flag, str(value)]
    return shlex.join([*words, "--output", f"runs/{options.output.name}"])


def begin(options):
    """Devices, precision and seed, as the options say; to be called before anything is built."""
    distributed.start(options.distribute)
    keras.config.set_dtype_policy(options.precision)
    keras.utils.set_random_seed(options.seed)


def config_of(options, tokenizer, **fields):
    """The configuration that the options describe; `fields` go before them.

    Raises:
        ValueError: there can be no such model.
    """
    names = zoo.models.LanguageModelConfig.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in names}
    return zoo.models.LanguageModelConfig(**{**given, "vocabulary_size": tokenizer.vocabulary_size, **fields})


def train(options, config, tokenizer, batches, held_back, training, loss_of=None):
    """Trains a language model as the options say, or goes on with its training; keeps the best.

    Args:
        options: those of `add_options`; `weight_decay` and `patience` may be missing.
        config: of the model.
        tokenizer: of the model.
        batches: a function of the epoch, see `zoo.training.fit`.
        held_back: `zoo.streams.Streams` to choose the best epoch by, or None.
        training: dict for the manifest: command, data.
        loss_of: `model -> loss function`; by default the model's `training_loss`.

    Returns:
        Whether this process is the one that goes on to the final figures.
    """
    zoo.training.claim_folder(options.output)
    model = zoo.models.LanguageModel(config, tokenizer)
    for layer in model.encoder.recurrent:
        layer.recompute = options.recompute
    print(f"{config.recurrent}: {model.count_params():,} weights", flush=True)
    steps = options.epochs * len(batches)
    warmup = min(WARMUP, steps // 10)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            0.0, steps - warmup, alpha=0.01, warmup_target=options.learning_rate, warmup_steps=warmup
        ),
        weight_decay=getattr(options, "weight_decay", 0.0),
        beta_2=0.99,
        global_clipnorm=options.clip_norm,
    )
    training = {**training, "seed": options.seed, **zoo.training.environment()}

    def save(history):
        training.update(minutes=history[-1]["minutes"], history=history)
        zoo.save(model.folded(), options.output / "best", {"training": training}, dtype=options.store)

    zoo.training.fit(
        model,
        optimizer,
        model.training_loss if loss_of is None else loss_of(model),
        batches,
        functools.partial(model.mean_loss, held_back) if held_back else None,
        save,
        folder=options.output,
        epochs=options.epochs,
        carry=model.initial_state(options.batch_size),
        settings={**{k: v for k, v in vars(options).items() if k not in NO_SETTING}, "data": training["data"]},
        average=options.average,
        patience=getattr(options, "patience", None),
        checkpoint_minutes=options.checkpoint_minutes,
        report=functools.partial(print, flush=True),
    )
    writes = distributed.end()
    keras.config.set_dtype_policy("float32")  # as whoever loads it
    return writes


def positive(word):
    number = int(word)
    if number < 1:
        raise ValueError
    return number


def above_zero(word):
    number = float(word)
    if not 0 < number < math.inf:
        raise ValueError
    return number
