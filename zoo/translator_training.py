"""Training a translator on pairs of sentences; and fine-tuning a trained one on anyone's."""

import functools
import hashlib
import numbers
from pathlib import Path

import keras

from zoo import checkpoint, loading, training
from zoo.pairs import pairs
from zoo.parallel import PairBuckets, Parallel
from zoo.stored_weights import DTYPES
from zoo.translation_scores import evaluate_translations

VALIDATION_SEARCH = {"beam_width": 4, "length_penalty": 0.6}
MOST_VALIDATED = 1000  # sentences whose BLEU chooses the epoch


def fit(
    model,
    train,
    validation,
    save,
    *,
    output,
    settings,
    longest=100,
    batch_tokens=3072,
    epochs=10,
    patience=None,
    learning_rate=2e-3,
    warmup=400,
    clip_norm=1.0,
    label_smoothing=0.1,
    average=0.999,
    seed=1,
    checkpoint_minutes=5.0,
    report=print,
):
    """Trains a translator; the epoch with the best BLEU on held-back pairs, by beam search, is kept.

    Interrupted, it goes on when called again with the same arguments.

    Args:
        model: a `zoo.models.Translator`.
        train: list of `zoo.pairs.Pair`s.
        validation: list of `zoo.pairs.Pair`s, of which the first 1,000 are translated after each epoch.
        save: as in `zoo.training.fit`.
        output: folder of the training.
        settings: JSON-able; a training can only be continued with the same.
        longest: tokens of source or target, beyond which a pair is left out.
        batch_tokens: of the target in a batch, padding included.
        epochs: how often to go through the pairs.
        patience: stop after so many epochs without a better BLEU; None for never.
        learning_rate: of Adam, at its peak; then it falls as a cosine to a hundredth.
        warmup: steps to the peak, at most a tenth of all.
        clip_norm: of the gradients.
        label_smoothing: as in `Translator.training_loss`.
        average: momentum of a moving average of the weights, which is what is kept; 0 for none.
        seed: of the order.
        checkpoint_minutes: how often the state is written, besides at the end of each epoch.
        report: called with a line of text now and then.

    Returns:
        The history, a list with one dict for each epoch.
    """
    encoded = Parallel.of(model.tokenizer, train, longest)
    held_back = Parallel.of(model.tokenizer, validation, longest)
    for name, given, kept in (("training", train, encoded), ("validation", validation, held_back)):
        if not len(kept):
            raise ValueError(f"None of {len(given):,} pairs for {name} has at most {longest} tokens on both sides.")
    batches, held_back = PairBuckets(encoded, batch_tokens, seed), PairBuckets(held_back, batch_tokens)
    report(f"{model.count_params():,} weights; {len(encoded):,} pairs to train on, {len(validation):,} for validation")
    if len(encoded) < len(train):
        report(f"{len(train) - len(encoded):,} pairs have more than {longest} tokens on a side and are left out.")
    steps = epochs * len(batches)
    warmup = min(warmup, max(1, steps // 10))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), alpha=0.01, warmup_target=learning_rate, warmup_steps=warmup
    )

    def validate():
        figures = evaluate_translations(model, validation[:MOST_VALIDATED], **VALIDATION_SEARCH)
        return {"validation": model.mean_loss(held_back), "bleu": figures["bleu"]}

    return training.fit(
        model,
        keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=clip_norm),
        functools.partial(model.training_loss, label_smoothing=label_smoothing),
        batches,
        validate,
        save,
        folder=output,
        epochs=epochs,
        highest="bleu",
        settings=settings,
        average=average,
        patience=patience,
        checkpoint_minutes=checkpoint_minutes,
        report=report,
    )


def finetune_translator(
    base,
    source,
    target=None,
    *,
    output,
    validation=0.05,
    bad_rows="error",
    reverse=False,
    epochs=5,
    patience=2,
    learning_rate=5e-4,
    batch_tokens=2048,
    label_smoothing=0.1,
    average=0.99,
    seed=1,
    dtype="float16",
    checkpoint_minutes=5.0,
    command=None,
    report=print,
):
    """Goes on training a translator on pairs of your own.

    Interrupted, it goes on when it is called again with the same arguments. The base is only read; its vocabulary
    stays, which has every byte and so every text.

    Args:
        base: name or folder of a translator, as in `zoo.load`.
        source, target, reverse: the pairs, as in `zoo.pairs.pairs`: two files, one with tabs, or two lists.
        output: folder of the run, which `zoo.load` opens; it must be new, or that of the same training.
        validation: fraction of the source texts whose pairs choose the best epoch, by BLEU.
        bad_rows: `"error"` to stop at the first pair without source or target, `"skip"` to leave such pairs out.
        epochs: at most.
        patience: stop after so many epochs without a better BLEU.
        learning_rate: at its peak.
        batch_tokens, label_smoothing, average, seed, checkpoint_minutes, report: as in `fit`.
        dtype: of the stored weights.
        command: what to say in the manifest, for scripts.

    Returns:
        The best `zoo.models.Translator`, as `zoo.load(output)` gives it.

    Raises:
        ValueError: files of different lengths, a pair that cannot be used, fewer than two different source texts.
        FileExistsError: `output` holds something else.

    Example:

    >>> tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    >>> base = zoo.models.Translator(zoo.models.TranslatorConfig(256, 256, units=8, embedding_size=4), tokenizer)
    >>> zoo.save(base, tmp_path / "base")
    >>> model = zoo.finetune_translator(tmp_path / "base", ["Yes.", "No."] * 4, ["Ja.", "Nein."] * 4,
    ...     output=tmp_path / "mine", epochs=1, report=lambda line: None)
    >>> model.task
    'translation'
    """
    for name, value, known in (("bad_rows", bad_rows, ("error", "skip")), ("dtype", dtype, DTYPES)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r:.100}")
    for name, value, least in (("epochs", epochs, 1), ("batch_tokens", batch_tokens, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(f"`{name}` must be an int of at least {least}. Received: {name}={value!r:.100}")
    if not 0 < validation < 1:
        raise ValueError(f"`validation` must be between 0 and 1. Received: validation={validation!r:.100}")
    output = Path(output).expanduser()
    place = loading.find(base)
    model = loading.load_found(place)
    if model.task != "translation":
        raise ValueError(f"{base} is a model for {model.task}, not a translator; `zoo.finetune` makes classifiers.")
    training.claim_folder(output)
    skipped = []
    found = pairs(source, target, skipped.append if bad_rows == "skip" else None, reverse)
    for error in skipped[:10]:
        report(f"Skipped: {error}")
    rest, held_back = split(found, validation)
    keras.utils.set_random_seed(seed)
    about = {
        "command": command or "zoo.finetune_translator(...)",
        "base": Path(base).name,
        "data": record(source, found),
        "seed": seed,
        **training.environment(),
    }

    def save(history):
        metric = {
            "data": f"held-back pairs of {about['data']['name']}, which chose the epoch",
            "figures": {"bleu": history[-1]["bleu"]},
            "command": about["command"],
        }
        manifest = {
            "description": f"A translator, fine-tuned from {about['base']}.",
            **({"base_model": place.origin} if place.origin else {}),
            "training": {**about, "minutes": history[-1]["minutes"], "history": history},
            "metrics": [metric],
        }
        checkpoint.save(model, output / checkpoint.BEST, manifest, dtype=dtype)

    options = {
        "batch_tokens": batch_tokens,
        "epochs": epochs,
        "patience": patience,
        "learning_rate": learning_rate,
        "label_smoothing": label_smoothing,
        "average": average,
        "seed": seed,
    }
    fit(
        model,
        rest,
        held_back,
        save,
        output=output,
        settings={**options, "base": loading.fingerprint(place), "data": about["data"], "validation": validation},
        checkpoint_minutes=checkpoint_minutes,
        report=report,
        **options,
    )
    return loading.load(output)


def split(found, fraction):
    """Pairs for training, and about a fraction of them, with no source text in both; always the same.

    >>> from zoo.pairs import pairs
    >>> rest, some = split(pairs([f"{i % 50}" for i in range(100)], ["x"] * 100), 0.1)
    >>> len(rest) + len(some), {pair.source for pair in rest} & {pair.source for pair in some}
    (100, set())
    """
    sources = sorted({pair.source for pair in found}, key=_digest)
    if len(sources) < 2:
        raise ValueError("There must be two different source texts or more, one to train on and one for validation.")
    chosen = set(sources[: min(len(sources) - 1, max(1, round(fraction * len(sources))))])
    return [pair for pair in found if pair.source not in chosen], [pair for pair in found if pair.source in chosen]


def _digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def record(source, found):
    """What the manifest says of pairs."""
    digest = hashlib.sha256()
    for pair in found:
        digest.update(_digest(pair.source) + _digest(pair.target))
    name = "lists" if isinstance(source, (list, tuple)) else Path(source).name
    return {"name": name, "sha256": digest.hexdigest(), "pairs": len(found)}
