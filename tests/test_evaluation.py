import numpy as np
import pytest

from zoo import evaluation
from zoo.rows import rows


class Model:
    """Says what the text says."""

    class config:
        labels = ("no", "yes")

    def probabilities(self, texts):
        p = np.array([float(text) for text in texts], "float32")
        return np.stack([1 - p, p], axis=1)


TEXTS = ["0.9", "0.8", "0.3", "0.6", "0.1", "0.2"]
TRUTH = ["yes", "yes", "yes", "no", "no", "no"]


@pytest.mark.parametrize("block", [2, 100])
def test_figures(monkeypatch, block):
    monkeypatch.setattr(evaluation, "BLOCK", block)
    seen = []
    figures = evaluation.evaluate(Model(), rows((TEXTS, TRUTH)), seen.append)
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert figures["confusion"] == {"no": {"no": 2, "yes": 1}, "yes": {"no": 1, "yes": 2}}
    p = np.array([0.9, 0.8, 0.3, 0.4, 0.9, 0.8])
    assert figures["log_loss"] == pytest.approx(-np.log(p).mean(), rel=1e-6)
    # Bins 0.87-0.93: two right at 0.9; 0.8-0.87: two right at 0.8; 0.67-0.73: wrong at 0.7; 0.6-0.67: wrong at 0.6.
    assert figures["calibration_error"] == pytest.approx((2 * 0.1 + 2 * 0.2 + 0.7 + 0.6) / 6, rel=1e-5)
    assert figures["examples"] == 6 == seen[-1]


def test_a_perfectly_calibrated_coin():
    texts = ["0.75"] * 4
    figures = evaluation.evaluate(Model(), rows((texts, ["yes", "yes", "yes", "no"])))
    assert figures["calibration_error"] == pytest.approx(0, abs=1e-6)


def test_unknown_labels_and_nothing():
    with pytest.raises(ValueError, match="Line 2: label 'maybe', but the model knows no, yes"):
        evaluation.evaluate(Model(), rows((TEXTS[:2], ["yes", "maybe"])))
    with pytest.raises(ValueError, match="no rows"):
        evaluation.evaluate(Model(), rows(([], [])))
