import math

import numpy as np
import pytest
from scipy.special import expit, softmax

from hilum.errors import HilumError
from hilum.scoring.calibration import (
    apply_temperature,
    bin_sums,
    error_of_bins,
    fit_temperature,
    logits_of,
    reliability_curve,
)


def calibration_error(confidence, right, bins=15):
    index, parts = bin_sums(np.asarray(confidence, float), np.asarray(right, float), bins)
    return error_of_bins(np.array([parts[index == place].sum(axis=0) for place in range(bins)])[None])[0]


def test_calibration_error_by_hand():
    """Bins of a half: (0.2, 0.4) with one right, (0.8, 0.9, 1.0) with all right."""
    confidence, right = [0.2, 0.4, 0.8, 0.9, 1.0], [0, 1, 1, 1, 1]
    expected = (abs(0.6 - 1) + abs(2.7 - 3)) / 5
    assert calibration_error(confidence, right, bins=2) == pytest.approx(expected)
    assert calibration_error([0.0, 1.0], [0, 1]) == 0
    assert math.isnan(calibration_error([], []))


def test_reliability_agrees_with_scikit_learn():
    from sklearn.calibration import calibration_curve

    generator = np.random.default_rng(0)
    probability = generator.random(500)
    label = generator.random(500) < probability**2
    mean, share, cases = reliability_curve(probability, label)
    expected_share, expected_mean = calibration_curve(label, probability, n_bins=15)
    assert share == pytest.approx(expected_share)
    assert mean == pytest.approx(expected_mean)
    assert cases.sum() == 500


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_binary_temperature_is_found_again(true_temperature):
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, 20_000)
    label = generator.random(20_000) < expit(logits)
    assert fit_temperature(logits * true_temperature, label) == pytest.approx(true_temperature, rel=0.05)


def test_multiclass_and_multilabel_temperature():
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 2, (20_000, 3))
    label = np.array([generator.choice(3, p=row) for row in softmax(logits, axis=1)[:6000]], float)
    label[0] = np.nan
    assert fit_temperature(2 * logits[:6000], label) == pytest.approx(2, rel=0.05)
    several = (generator.random(logits.shape) < expit(logits)).astype(float)
    several[:100, 0] = np.nan
    assert fit_temperature(2 * logits, several) == pytest.approx(2, rel=0.05)


def test_fitting_lowers_the_calibration_error():
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 1, 5000)
    label = generator.random(5000) < expit(logits)
    before = calibration_error(expit(4 * logits), label)
    after = calibration_error(apply_temperature(4 * logits, fit_temperature(4 * logits, label)), label)
    assert after < before / 3


def test_perfectly_told_apart_stays_bounded():
    assert 0.04 < fit_temperature([-3.0, 3.0], [0, 1]) < 0.06


def test_logits_and_back():
    probability = np.array([[0.2, 0.8], [0.5, 0.5]])
    assert apply_temperature(logits_of(probability), 1) == pytest.approx(probability)
    assert apply_temperature(logits_of(probability, True), 1, True) == pytest.approx(probability)
    assert np.isfinite(logits_of([0.0, 1.0])).all()


def test_errors():
    with pytest.raises(HilumError, match="do not fit"):
        fit_temperature(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(HilumError, match="no label"):
        fit_temperature([1.0], [np.nan])
