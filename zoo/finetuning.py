"""Fine-tuning a pretrained model into a classifier on anyone's labelled texts (Dai & Le 2015; Howard & Ruder 2018)."""

import functools
import hashlib
import numbers
import os
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

from zoo import checkpoint, examples, loading, training
from zoo.atomic_files import atomic_write
from zoo.backend import compiled
from zoo.layerwise_adam import LayerwiseAdam
from zoo.models import Classifier, ClassifierConfig
from zoo.rows import rows
from zoo.stored_weights import DTYPES

SKIPPED_FILE = "skipped.txt"
DROPOUTS = ("embedding_dropout", "dropout", "recurrent_dropout", "head_dropout")
MOST_LISTED = 10  # labels, or skipped rows
NO_RESULT = ("data", "output", "checkpoint_minutes", "command", "report")  # arguments that do not change the weights


def finetune(
    base,
    data,
    text_column="text",
    label_column="label",
    *,
    output,
    pretrained=True,
    validation=0.1,
    bad_rows="error",
    pooling=("last", "max", "mean"),
    hidden_units=0,
    embedding_dropout=0.0,
    dropout=0.2,
    recurrent_dropout=0.0,
    head_dropout=0.3,
    class_weights=None,
    longest=1024,
    batch_tokens=16_384,
    epochs=6,
    patience=2,
    learning_rate=1e-3,
    layer_decay=0.5,
    unfreeze_epochs=0.0,
    average=0.99,
    seed=1,
    dtype="float16",
    checkpoint_minutes=5.0,
    command=None,
    report=print,
):
    """Turns a pretrained model into a classifier of your own.

    Interrupted, it goes on when it is called again with the same arguments. The base is only read.

    Args:
        base: name or folder of a language model or a classifier, as in `zoo.load`. A classifier with the same labels
            keeps its output layer, and then its own pooling and hidden layer, whatever is asked for here.
        data: path of a `.csv`, `.tsv` or `.jsonl` file, also `.gz` or `.xz`; a pandas frame; a `tf.data.Dataset` of
            `(text, label)`, in the same order each time; or two lists, texts and labels. Two labels or more, of any
            name.
        text_column: name of the column with the text.
        label_column: name of the column with the label.
        output: folder of the run, which `zoo.load` opens; it must be new, or that of the same training.
        pretrained: False to begin with random weights instead of the base's, to see what the pretraining is worth.
        validation: fraction of each label's examples that chooses the best epoch.
        bad_rows: `"error"` to stop at the first row without text or label, `"skip"` to leave such rows out and list
            them in `skipped.txt`. An empty text is no text.
        pooling: what of the states over the text the classifier sees: some of `"last"` (hidden state), `"cell"`,
            `"max"`, `"mean"`.
        hidden_units: of a layer between pooling and output; 0 for none.
        embedding_dropout: of the embedding. It costs time: tokens that recur are then no longer computed once.
        dropout: after every recurrent layer.
        recurrent_dropout: of the hidden state on its way to the next timestep.
        head_dropout: before the output.
        class_weights: None; `"balanced"`, for labels to count alike whatever their number; or a dict by label.
        longest: tokens read of a text in training; of a longer one its first quarter and its end. What classifies
            later reads every text to its end.
        batch_tokens: tokens of a batch, padding included.
        epochs: at most.
        patience: stop after so many epochs without a better validation loss.
        learning_rate: of the output, at its peak; a tenth of the steps warm up, then it falls as a cosine.
        layer_decay: factor of the learning rate from each layer to the one below ("discriminative" rates).
        unfreeze_epochs: how much later than the layer above a layer begins to learn ("gradual unfreezing"); 0 for all
            at once.
        average: momentum of a moving average of the weights, which is what is kept; 0 for none.
        seed: integer; the same seed gives the same model.
        dtype: of the stored weights.
        checkpoint_minutes: how often the state is written, besides at the end of each epoch.
        command: what to say in the manifest, for scripts.
        report: called with a line of text now and then.

    Returns:
        The best `zoo.models.Classifier`, as `zoo.load(output)` gives it.

    Raises:
        ValueError: no such column, one label only, fewer than two examples of a label, a row that cannot be used.
        FileExistsError: `output` holds something else.

    Example:

    >>> texts = ["Lovely.", "A gem.", "So good.", "Awful.", "A bore.", "So bad."] * 4
    >>> model = zoo.finetune("mlstm-shakespeare", (texts, ["pos"] * 3 * 4 + ["neg"] * 3 * 4),
    ...     output=tmp_path / "mine", epochs=1, report=lambda line: None)
    >>> model.config.labels
    ('neg', 'pos')
    """
    settings = {name: value for name, value in locals().items() if name not in NO_RESULT}
    _check(settings, checkpoint_minutes)
    output = Path(output).expanduser()
    place = loading.find(base)
    source = loading.load_found(place)
    settings["base"] = loading.fingerprint(place)
    training.claim_folder(output)
    skipped = []
    found = rows(data, text_column, label_column, bad=skipped.append if bad_rows == "skip" else None, empty=False)
    try:
        with tempfile.TemporaryFile(dir=output) as file:  # without a name: nothing is left of it, however this ends
            known = examples.encode(found, source.tokenizer, file, longest)
    finally:
        for error in skipped[:MOST_LISTED]:
            report(f"Skipped: {error}")
    record = _record(data, known)
    train, held_back = examples.stratified(known.labels, validation, seed)
    keras.utils.set_random_seed(settings["seed"])
    model = _classifier(source, known.names, settings)
    weights = _class_weights(class_weights, known, train)
    batches = examples.Buckets(known, train, batch_tokens, seed, weights)
    report(
        f"{len(train):,} texts to train on and {len(held_back):,} for validation, labels {', '.join(known.names)}; "
        f"{model.count_params():,} weights"
    )
    about = {
        "command": command or "zoo.finetune(...)",
        "base": Path(base).name,
        "pretrained": _pretraining(place) if pretrained else False,
        "data": record,
        "seed": seed,
        **training.environment(),
    }
    origin = f"fine-tuned from {about['base']}" if pretrained else f"trained from scratch, shaped like {about['base']}"
    validate = _HeldBack(model, examples.Buckets(known, held_back, batch_tokens, seed, weights))

    def save(history):
        metric = {
            "data": f"the {len(held_back):,} held-back examples of {record['name']}, which chose the epoch",
            "figures": {"accuracy": validate.accuracy},
            "command": about["command"],
        }
        manifest = {
            "description": f"A classifier of texts into {_listed(known.names)}, {origin}.",
            **({"base_model": place.origin} if pretrained and place.origin else {}),
            "training": {**about, "minutes": history[-1]["minutes"], "history": history},
            "metrics": [metric],
        }
        checkpoint.save(model, output / checkpoint.BEST, manifest, dtype=dtype)
        report(f"validation accuracy {validate.accuracy:.4f}")

    training.fit(
        model,
        _optimizer(model, settings, len(batches)),
        model.training_loss,
        batches,
        validate,
        save,
        folder=output,
        epochs=epochs,
        settings={**settings, "data": record},
        average=average,
        patience=patience,
        checkpoint_minutes=checkpoint_minutes,
        report=report,
    )
    if skipped:
        atomic_write(output / SKIPPED_FILE, "".join(f"{error}\n" for error in skipped).encode("utf-8", "replace"))
        report(f"Rows skipped: {len(skipped)}. They are listed in {output / SKIPPED_FILE}.")
    return loading.load(output)


def _check(settings, checkpoint_minutes):
    """Says what cannot be before anything is read or written."""
    choices = {"bad_rows": ("error", "skip"), "dtype": DTYPES}
    for name, known in choices.items():
        if settings[name] not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={settings[name]!r:.100}")
    for name, least in {"longest": 4, "batch_tokens": 1, "epochs": 1, "patience": 1, "seed": 0}.items():
        value = settings[name]
        if value is None and name == "patience":
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(f"`{name}` must be an int of at least {least}. Received: {name}={value!r:.100}")
        settings[name] = int(value)
    for name in ("text_column", "label_column"):
        if not isinstance(settings[name], str):
            raise TypeError(f"`{name}` must be the name of a column, a str. Received: {name}={settings[name]!r:.100}")
    highest = {"learning_rate": 10, "layer_decay": 1, "unfreeze_epochs": 1000, "average": 0.99999, "validation": 1}
    for name in (*highest, *DROPOUTS):
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"`{name}` must be a number. Received: {name}={value!r:.100}")
    for name, high in highest.items():
        if not 0 <= settings[name] <= high:
            raise ValueError(f"`{name}` must be between 0 and {high}. Received: {name}={settings[name]!r:.100}")
    if settings["validation"] in (0, 1):
        raise ValueError(f"`validation` must be between 0 and 1. Received: validation={settings['validation']!r}")
    if not isinstance(checkpoint_minutes, numbers.Real) or not checkpoint_minutes >= 0:
        raise ValueError(f"`checkpoint_minutes` must be a number of at least 0. Received: {checkpoint_minutes!r:.100}")
    if not isinstance(settings["pretrained"], bool):
        raise TypeError(f"`pretrained` must be True or False. Received: pretrained={settings['pretrained']!r:.100}")
    ClassifierConfig(  # which checks its own
        1,
        pooling=settings["pooling"],
        hidden_units=settings["hidden_units"],
        **{name: settings[name] for name in DROPOUTS},
    )


class _HeldBack:
    """Called, the weighted mean loss in nats of a classifier over `zoo.examples.Buckets`; then also its accuracy."""

    def __init__(self, model, buckets):
        self.buckets, self.accuracy = buckets, None
        self.sums = compiled(functools.partial(_sums, model), model.variables)

    def __call__(self):
        batches = self.buckets(epoch=0)
        found = [[float(x) for x in self.sums(*batches[i])] for i in range(len(batches))]
        losses, weights, hits = np.sum(found, axis=0)
        self.accuracy = hits / len(self.buckets.indices)
        return losses / weights


def _sums(model, tokens, lengths, labels, weights):
    logits = model(tokens, ops.arange(tokens.shape[1])[None] < lengths[:, None])
    losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    hits = ops.logical_and(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels), weights > 0)
    return ops.sum(losses * weights), ops.sum(weights), ops.sum(ops.cast(hits, "float32"))


def _classifier(source, names, settings):
    """A classifier with the layers of a pretrained model; and with its output, if that knows these labels."""
    same = settings["pretrained"] and isinstance(source, Classifier) and source.config.labels == names
    model = Classifier.on(
        source,
        labels=names,
        pooling=source.config.pooling if same else settings["pooling"],
        hidden_units=source.config.hidden_units if same else settings["hidden_units"],
        **{name: settings[name] for name in DROPOUTS},
    )
    if not settings["pretrained"]:
        return Classifier(model.config, model.tokenizer)
    for layer in ("hidden", "output_layer") if same else ():
        if getattr(model, layer) is not None:
            getattr(model, layer).set_weights(getattr(source, layer).get_weights())
    return model


def _pretraining(place):
    """How the base was trained, as far as its manifest says."""
    manifest = checkpoint.read_manifest(checkpoint.resolve(place.folder), place.manifest_sha256)
    said = manifest.get("training", {})
    return {key: said[key] for key in ("command", "data", "minutes", "hardware") if key in said}


def _optimizer(model, settings, steps):
    """Adam with the rates of the layers; `steps` is how many an epoch has."""
    in_all, delay = settings["epochs"] * steps, settings["unfreeze_epochs"] * steps
    warmup = max(1, in_all // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, in_all - warmup), 0.01, warmup_target=settings["learning_rate"], warmup_steps=warmup
    )
    rates = _rates(model, settings["layer_decay"], delay)
    return LayerwiseAdam(schedule, rates=rates, beta_2=0.99, global_clipnorm=1.0)


def _rates(model, decay, delay):
    """Factor and first step of every trainable variable: the output is at depth 0, the embedding deepest."""
    top = [layer for layer in (model.hidden, model.output_layer) if layer is not None]
    groups = [top, *([layer] for layer in reversed(model.encoder.recurrent)), [model.encoder.embedding]]
    depths = {v.path: depth for depth, group in enumerate(groups) for layer in group for v in layer.trainable_variables}
    return [(decay ** depths[v.path], int(depths[v.path] * delay)) for v in model.trainable_variables]


def _class_weights(class_weights, known, train):
    if class_weights is None:
        return None
    if class_weights == "balanced":
        counts = np.bincount(known.labels[train], minlength=len(known.names))
        return len(train) / (len(known.names) * np.maximum(counts, 1))
    if (
        not isinstance(class_weights, dict)
        or set(class_weights) != set(known.names)
        or not all(isinstance(weight, numbers.Real) and 0 < weight < np.inf for weight in class_weights.values())
    ):
        raise ValueError(
            "`class_weights` must be None, 'balanced' or a dict with a positive number for each of "
            f"{_listed(known.names)}. Received: class_weights={class_weights!r:.200}"
        )
    return np.array([class_weights[name] for name in known.names])


def _record(data, known):
    """What the manifest says of the data."""
    counts = np.bincount(known.labels).tolist()
    rare = [name for name, count in zip(known.names, counts) if count < 2]
    if rare:
        raise ValueError(
            "Each label needs two examples or more, one for training and one for validation. "
            f"Only one has: {_listed(rare)}."
        )
    digest = hashlib.sha256(repr(known.names).encode())
    for part in (known.tokens, known.ends, known.labels):
        digest.update(part)
    return {
        "name": Path(data).name if isinstance(data, (str, os.PathLike)) else type(data).__name__,
        "sha256": digest.hexdigest(),
        "examples": len(known.labels),
        "labels": dict(zip(known.names, counts)) if len(counts) <= MOST_LISTED else len(counts),
    }


def _listed(names, most=MOST_LISTED):
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"
