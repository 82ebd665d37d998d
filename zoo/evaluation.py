"""How well a classifier does on labelled texts."""

import numpy as np

from zoo.rows import in_blocks

BLOCK = 4096  # rows
BINS = 15


def evaluate(model, rows, progress=None):
    """Accuracy, F1, confusion and calibration of a classifier.

    Args:
        model: a `zoo.models.Classifier`.
        rows: `zoo.rows.Row`s with labels.
        progress: called with the number of rows done.

    Returns:
        Dict with `accuracy`; `f1`, of the second of two labels, or the mean over more; `calibration_error`, the
        expected calibration error over 15 bins (Guo et al. 2017); `log_loss` in nats; `examples`; and `confusion`,
        for each true label how often which was predicted.

    Raises:
        ValueError: there are no rows, or one has a label that the model does not know.
    """
    from sklearn import metrics

    labels = model.config.labels
    index = {label: i for i, label in enumerate(labels)}
    truth, found = [], []
    for block in in_blocks(rows, BLOCK):
        for row in block:
            if row.label not in index:
                raise ValueError(
                    f"Line {row.line}: label {row.label!r:.100}, but the model knows {', '.join(labels)}. Rename the "
                    "label, or leave its rows out."
                )
        truth += [index[row.label] for row in block]
        found.append(model.probabilities([row.text for row in block]))
        if progress is not None:
            progress(len(truth))
    if not truth:
        raise ValueError("There are no rows to evaluate.")
    truth, probabilities = np.array(truth), np.concatenate(found).astype("float64")
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted, numbers = probabilities.argmax(axis=1), np.arange(len(labels))
    binary = len(labels) == 2
    confusion = metrics.confusion_matrix(truth, predicted, labels=numbers)
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "f1": float(
            metrics.f1_score(
                truth, predicted, labels=None if binary else numbers, average="binary" if binary else "macro",
                zero_division=0,
            )
        ),
        "calibration_error": _calibration_error(probabilities.max(axis=1), predicted == truth),
        "log_loss": float(metrics.log_loss(truth, probabilities, labels=numbers)),
        "examples": len(truth),
        "confusion": {label: dict(zip(labels, row.tolist())) for label, row in zip(labels, confusion)},
    }  # fmt: skip


def _calibration_error(confidence, right):
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return float(sum(gaps))
