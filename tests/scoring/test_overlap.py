import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.scoring.overlap import (
    CURVE_THRESHOLDS,
    Overlap,
    dice_at_thresholds,
    dice_curve,
    overlap,
)


def test_hand_worked_counts_and_scores():
    truth = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    prediction = np.array([[1, 1, 0, 1], [0, 0, 0, 0]], bool)
    counts = overlap(prediction, truth)
    assert counts == Overlap(tp=2, fp=1, fn=2)
    assert counts.dice == pytest.approx(4 / 7)
    assert counts.jaccard == pytest.approx(2 / 5)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(1 / 2)
    assert (counts.truth_pixels, counts.predicted_pixels) == (4, 3)


def test_empty_conventions():
    nothing = Overlap(0, 0, 0)
    assert all(math.isnan(x) for x in (nothing.dice, nothing.jaccard, nothing.precision, nothing.recall))
    assert nothing.challenge_dice == 1.0
    assert Overlap(0, 5, 0).dice == Overlap(0, 5, 0).challenge_dice == 0.0
    assert math.isnan(Overlap(0, 5, 0).recall)
    assert math.isnan(Overlap(0, 0, 5).precision)


def test_shapes_must_agree():
    with pytest.raises(HilumError, match=r"\(3,\) and \(4,\)"):
        overlap(np.zeros(3, bool), np.zeros(4, bool))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_dice_and_jaccard_agree_with_scikit_learn(pairs):
    from sklearn.metrics import f1_score, jaccard_score

    prediction, truth = np.array(pairs, bool).T
    counts = overlap(prediction, truth)
    if (prediction | truth).any():
        assert counts.dice == pytest.approx(f1_score(truth, prediction, zero_division=0))
        assert counts.jaccard == pytest.approx(jaccard_score(truth, prediction, zero_division=0))
        assert counts.dice == pytest.approx(2 * counts.jaccard / (1 + counts.jaccard))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32, np.float64, np.uint8, bool]))
def test_curve_equals_thresholding_one_by_one(seed, dtype):
    generator = np.random.default_rng(seed)
    probability = generator.random((7, 8))
    scale = 255 if dtype == np.uint8 else 1
    probability = (np.round(probability) if dtype is bool else probability * scale).astype(dtype)
    truth = generator.random((7, 8)) > 0.4
    curve = dice_curve(probability, truth)
    value = probability.astype(np.float64) / scale
    for index in (0, 1, 51, 127, 128, 254, 255):
        one = overlap(value >= CURVE_THRESHOLDS[index], truth)
        assert Overlap(curve.tp[index], curve.fp[index], curve.fn[index]) == one
    exact = dice_at_thresholds(probability, truth, [0.2, 0.4, 0.77])
    for index, threshold in enumerate((0.2, 0.4, 0.77)):
        one = overlap(value >= threshold, truth)
        assert Overlap(exact.tp[index], exact.fp[index], exact.fn[index]) == one


def test_uint8_sits_on_the_thresholds():
    levels = np.arange(256, dtype=np.uint8)
    curve = dice_curve(levels, np.ones(256, bool))
    assert curve.tp.tolist() == list(range(256, 0, -1))
    same = dice_curve(levels / 255, np.ones(256, bool))
    assert np.array_equal(curve.tp, same.tp)


@pytest.mark.parametrize("bad", [np.array([1.5]), np.array([-0.1]), np.array([np.nan]), np.array([1])])
def test_what_is_no_probability(bad):
    with pytest.raises(HilumError):
        dice_curve(bad, np.array([True]))


def test_thresholds_must_ascend():
    with pytest.raises(HilumError, match="ascending"):
        dice_at_thresholds(np.array([0.1]), np.array([True]), [0.5, 0.5])


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.5 / 255, 76.5 / 255, 127.5 / 255, 0.3, 1.0, 1.001])
def test_a_curve_is_read_where_masks_are_decided(threshold):
    """Half-way between two levels it is the upper one that is marked."""
    rng = np.random.default_rng(3)
    levels, truth = rng.integers(0, 256, (40, 50)).astype(np.uint8), rng.random((40, 50)) < 0.3
    assert dice_curve(levels, truth).at(threshold) == overlap(levels >= threshold * 255, truth)
