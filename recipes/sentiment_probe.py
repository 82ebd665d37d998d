"""The stage `probe` of `recipes/sentiment.py`: what the states of a language model know of two labels."""

import functools
import hashlib
import io
from pathlib import Path

import keras
import numpy as np

import zoo
from recipes.sentiment_figures import add_metric, command, corpus_name
from zoo import probing
from zoo.atomic_files import atomic_write
from zoo.rows import rows


def probe(options, parser):
    """L1 logistic regression on the final cell states; what comes out is a classifier that loads like any other."""
    model = zoo.load(options.model)
    if (options.output / zoo.training.STATE_FILE).exists():
        raise FileExistsError(f"{options.output} is the folder of a training. Choose another folder.")
    options.output.mkdir(parents=True, exist_ok=True)
    features, labels, names = labelled_features(model, options.data, options)
    if len(names) != 2:
        raise ValueError(f"A probe tells two labels apart. Found: {names}")
    found = probing.fit(features, labels, seed=options.seed, report=functools.partial(print, flush=True))
    figures = {
        "validation_accuracy": found.validation_accuracy,
        "units_used": found.used,
        "best_unit": found.unit,
        "best_unit_accuracy_in_training": found.unit_accuracy(features, labels),
    }
    said = command(options, parser, tested=True)
    metrics = [{"data": f"{corpus_name(options.data)}, linear probe", "figures": figures, "command": said}]
    if options.test:
        test_features, test_labels, _ = labelled_features(model, options.test, options)
        figures = {
            "accuracy": found.accuracy(test_features, test_labels),
            "best_unit_accuracy": found.unit_accuracy(test_features, test_labels),
        }
        metrics.insert(0, {"data": f"{corpus_name(options.test)}, linear probe", "figures": figures, "command": said})
    picture = options.output / f"unit-{found.unit}.png"
    probing.histogram(picture, features[:, found.unit], labels, names, found.threshold)
    classifier = zoo.models.Classifier.on(model, labels=names, pooling=("cell",))
    # Two logits of plus and minus one half: their difference is that of the logistic regression.
    halves = np.stack([-found.weights, found.weights], axis=1) / 2
    classifier.output_layer.set_weights([halves, np.array([-found.bias, found.bias]) / 2])
    about = {"command": command(options, parser), "base": Path(options.model).name, "seed": options.seed}
    manifest = {
        "description": f"A linear probe of {about['base']}: {names[0]} or {names[1]}, from {found.used} of its units.",
        "training": {**about, **zoo.training.environment()},
        "metrics": metrics,
    }
    zoo.save(classifier, options.output / "best", manifest, dtype=options.store)
    for metric in metrics:
        if options.card:
            add_metric(options.card, metric)
        for name, value in metric["figures"].items():
            print(f"{metric['data']}: {name.replace('_', ' ')} {value:.4g}")
    print(f'The best unit is drawn in {picture}. zoo trace {options.output} "..."')


def labelled_features(model, path, options):
    """Features of the texts in a file, kept in the output folder, since they take long; and their labels."""
    digest = hashlib.sha256(path.read_bytes() + options.text_column.encode())
    for weight in model.encoder.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    kept = options.output / f"features-{digest.hexdigest()[:16]}.npy"  # of this model and this file
    found = list(rows(path, options.text_column, options.label_column))
    names = tuple(sorted({row.label for row in found}))
    if kept.exists():
        features = np.load(kept, allow_pickle=False)
    else:
        features = model.features([row.text for row in found], progress=progress)
        with io.BytesIO() as file:
            np.save(file, features)
            atomic_write(kept, file.getvalue())
    return features, np.array([names.index(row.label) for row in found]), names


def progress(done, total):
    if done == total or done % 6400 == 0:
        print(f"{done:,} of {total:,} texts read", flush=True)
