import matplotlib.image
import numpy as np
import pytest

from zoo import probing


def planted(count=600, units=20, seed=0):
    """Features of which unit 7 knows the label well, 2 and 11 a little, the others nothing."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    features = random.normal(size=(count, units)).astype("float32")
    features[:, 7] -= 3 * labels - 1
    features[:, 2] += labels
    features[:, 11] += labels
    return features, labels


def test_the_planted_unit_is_found_and_few_others_are_used():
    probe = probing.fit(*planted())
    fresh = planted(seed=1)
    assert (probe.unit, probe.direction) == (7, -1)
    assert -1.5 < probe.threshold < 0.5
    assert np.abs(probe.weights).argmax() == 7
    assert probe.used == np.count_nonzero(probe.weights) < 12
    assert probe.accuracy(*fresh) >= probe.unit_accuracy(*fresh) - 0.01 > 0.9
    assert probe.strength in probing.STRENGTHS


def test_accuracies_are_the_definitions():
    features, labels = planted(100)
    probe = probing.fit(features, labels)
    said = [float(f @ probe.weights) + probe.bias > 0 for f in features]
    assert probe.accuracy(features, labels) == np.mean(said == labels)
    below = features[:, 7] < probe.threshold
    assert probe.unit_accuracy(features, labels) == np.mean(below == labels)


def test_best_unit_is_the_best_of_all_thresholds():
    random = np.random.default_rng(3)
    features = random.integers(0, 4, (40, 3)).astype("float32")  # with ties
    features[:, 1] = 5  # says nothing
    labels = random.integers(0, 2, 40)
    scores = {
        (unit, threshold, direction): np.mean((direction * (features[:, unit] - threshold) > 0) == labels)
        for unit in range(3)
        for threshold in (0.5, 1.5, 2.5)
        for direction in (1, -1)
    }
    assert scores[probing.best_unit(features, labels)] == max(scores.values())


@pytest.mark.parametrize("labels", [[0] * 10, [0, 1, 2] * 4, ["a", "b"] * 5])
def test_labels_that_are_not_two(labels):
    with pytest.raises(ValueError, match="`labels` must be 0 and 1"):
        probing.fit(np.zeros((len(labels), 2)), labels)


def test_histogram(tmp_path):
    features, labels = planted()
    probing.histogram(tmp_path / "unit.png", features[:, 7], labels, ("neg", "pos"), 0.0)
    image = matplotlib.image.imread(tmp_path / "unit.png")[..., :3]
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10
