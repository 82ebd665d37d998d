"""What a language model knows without having been told: linear probes of its features, and its best single unit.

Reference: Radford, Jozefowicz & Sutskever 2017, sections 3 and 4.
"""

import io
from typing import NamedTuple

import numpy as np

from zoo.atomic_files import atomic_write
from zoo.examples import stratified

STRENGTHS = tuple(2.0**k for k in range(-8, 2))  # of the L1 penalty, its inverse C


class Probe(NamedTuple):
    """A logistic regression on features, few of which it uses; of two labels.

    Attributes:
        weights: float `(units,)`; positive ones speak for the second label.
        bias: float.
        strength: C, the inverse of the penalty, which validated best.
        validation_accuracy: with that C.
        unit: which unit alone, by a threshold, tells the labels apart best.
        threshold: of that unit.
        direction: 1 if above the threshold is the second label, else -1.
    """

    weights: np.ndarray
    bias: float
    strength: float
    validation_accuracy: float
    unit: int
    threshold: float
    direction: int

    @property
    def used(self):
        """How many units carry weight."""
        return int(np.count_nonzero(self.weights))

    def accuracy(self, features, labels):
        """Of all units."""
        return float(np.mean((features @ self.weights + self.bias > 0) == labels))

    def unit_accuracy(self, features, labels):
        """Of the best unit alone."""
        return float(np.mean((self.direction * (features[:, self.unit] - self.threshold) > 0) == labels))


def fit(features, labels, validation=0.1, seed=1, report=lambda line: None):
    """A probe for two labels.

    Args:
        features: float `(texts, units)`, from `LanguageModel.features`.
        labels: 0 or 1, `(texts,)`.
        validation: fraction that chooses C; the final fit is on all.
        seed: of the choice of that fraction.
        report: called with a line of text for each C; for many texts one can take minutes.

    Returns:
        A `Probe`.

    Example:

    >>> random = np.random.default_rng(0)
    >>> labels = random.integers(0, 2, 400)
    >>> features = random.normal(size=(400, 5))
    >>> features[:, 3] -= 4 * labels
    >>> probe = fit(features, labels)
    >>> probe.unit, probe.direction, probe.unit_accuracy(features, labels) > 0.95
    (3, -1, True)
    """
    from sklearn.linear_model import LogisticRegression

    def fitted(strength, indices):
        model = LogisticRegression(C=strength, l1_ratio=1.0, solver="liblinear", random_state=seed, max_iter=1000)
        return model.fit(features[indices], labels[indices])

    labels = np.asarray(labels)
    if set(labels.tolist()) != {0, 1}:
        raise ValueError(f"`labels` must be 0 and 1, both. Received: {sorted(set(labels.tolist()))!s:.100}")
    train, held_back = stratified(labels, validation, seed)
    accuracies = []
    for strength in STRENGTHS:
        accuracies.append(fitted(strength, train).score(features[held_back], labels[held_back]))
        report(f"C = {strength}: validation accuracy {accuracies[-1]:.4f}")
    best = int(np.argmax(accuracies))  # of equals, the one with fewer units
    model = fitted(STRENGTHS[best], np.arange(len(labels)))
    unit, threshold, direction = best_unit(features, labels)
    return Probe(
        model.coef_[0].astype("float32"), float(model.intercept_[0]), STRENGTHS[best], accuracies[best],
        unit, threshold, direction,
    )  # fmt: skip


def best_unit(features, labels):
    """The unit, threshold and direction that tell two labels apart best, each unit alone."""
    best = (-1.0, 0, 0.0, 1)
    for unit in range(features.shape[1]):
        order = np.argsort(features[:, unit], kind="stable")
        values, ordered = features[order, unit], labels[order]
        # With the threshold after the first k, the k below count where their label is 0, the others where it is 1.
        right = np.cumsum(ordered == 0) + (ordered == 1).sum() - np.cumsum(ordered == 1)
        splits = np.flatnonzero(values[1:] > values[:-1])
        if not len(splits):
            continue
        for direction, score in ((1, right), (-1, len(labels) - right)):
            k = splits[score[splits].argmax()]
            if score[k] > best[0]:
                best = (float(score[k]), unit, float(values[k] + values[k + 1]) / 2, direction)
    return best[1:]


def histogram(path, values, labels, names, threshold):
    """Writes a PNG: how a unit's values are distributed over the texts of either label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    bins = np.histogram_bin_edges(values, 80)
    for label, colour in ((0, "#ef8a62"), (1, "#7fbf7b")):
        axes.hist(values[labels == label], bins, alpha=0.65, color=colour, label=names[label])
    axes.axvline(threshold, color="#444", linewidth=1, linestyle="--")
    axes.set(xlabel="value of the unit after the last character", ylabel="texts")
    axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    atomic_write(path, image.getvalue())
