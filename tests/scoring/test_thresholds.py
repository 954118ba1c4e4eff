import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.scoring.overlap import dice_curve
from hilum.scoring.thresholds import cross_fit_threshold, fit_threshold


def case(cut, seed, shift=0.0):
    """A case whose truth is exactly the probability above `cut`."""
    probability = np.random.default_rng(seed).random((40, 40))
    return dice_curve(probability, probability >= cut)


def test_finds_the_cut_that_made_the_truth():
    curves = [case(0.3, seed) for seed in range(4)]
    assert fit_threshold(curves) == pytest.approx(0.3, abs=0.01)
    assert fit_threshold(curves, "pooled") == pytest.approx(0.3, abs=0.01)


def test_middle_of_a_plateau_is_taken():
    truth = np.array([True, True, False, False])
    curve = dice_curve(np.array([0.9, 0.8, 0.2, 0.1]), truth)
    assert fit_threshold([curve]) == pytest.approx(0.5, abs=0.01)


def test_gain_is_judged_on_the_fold_left_out():
    curves = [case(0.3, seed) for seed in range(3)] + [case(0.7, 9)]
    fitted = cross_fit_threshold(curves, [0, 0, 1, 2])
    assert set(fitted.by_fold) == {0, 1, 2}
    assert fitted.by_fold[2] == pytest.approx(0.3, abs=0.01)  # its own 0.7 was not looked at
    by_hand = np.mean([c.at(fitted.by_fold[f]).dice for c, f in zip(curves, [0, 0, 1, 2], strict=True)])
    assert fitted.fitted_dice == pytest.approx(by_hand)
    assert fitted.gain == pytest.approx(by_hand - np.mean([c.at(0.5).dice for c in curves]))


def test_pooled_counts_cases_without_the_target():
    noise = dice_curve(np.full((40, 40), 0.6), np.zeros((40, 40), bool))
    curves = [case(0.3, 0), noise]
    assert fit_threshold(curves) == pytest.approx(0.3, abs=0.01)
    assert fit_threshold(curves, "pooled") > 0.6


def test_no_target_anywhere_is_an_error():
    with pytest.raises(HilumError, match="no case has the target"):
        fit_threshold([dice_curve(np.zeros(4), np.zeros(4, bool))])
    with pytest.raises(HilumError, match="criterion"):
        fit_threshold([case(0.3, 0)], "best")


def test_a_fold_whose_others_have_no_target_keeps_one_half():
    empty = dice_curve(np.zeros(4), np.zeros(4, bool))
    assert cross_fit_threshold([case(0.3, 0), empty], ["a", "b"]).by_fold["a"] == 0.5
