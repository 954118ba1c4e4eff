import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.scoring.quality import CHECK, EMPTY, GOOD, Belief, expected_dice, fit_quality, read_quality


def test_sure_probabilities_expect_the_dice_of_their_own_mask():
    truth = np.zeros((20, 20), bool)
    truth[5:15, 5:15] = True
    assert expected_dice(truth.astype(float), truth) == 1
    half = truth & (np.arange(20) < 10)[:, None]
    assert expected_dice(truth.astype(float), half) == pytest.approx(2 * 50 / 150)
    assert math.isnan(expected_dice(truth.astype(float), np.zeros_like(truth)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 500))
def test_calibrated_probabilities_expect_what_is_found_on_average(seed):
    rng = np.random.default_rng(seed)
    probability = np.clip(rng.normal(0.3, 0.35, (60, 60)), 0, 1)
    mask = probability >= 0.5
    found = []
    for _ in range(40):
        truth = rng.random(probability.shape) < probability
        found.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    assert expected_dice(probability, mask) == pytest.approx(np.mean(found), abs=0.01)


@pytest.mark.parametrize("cases", [20, 200])
def test_too_sure_networks_are_brought_down_to_what_was_found(cases):
    rng = np.random.default_rng(0)
    expected = rng.uniform(0.4, 1, cases)
    real = np.clip(0.5 * expected + 0.3 + rng.normal(0, 0.02, cases), 0, 1)
    fit, told = fit_quality(expected, real, np.arange(cases) % 4)
    assert fit.foretell(0.7).dice == pytest.approx(0.65, abs=0.03)
    assert fit.error < 0.035
    assert fit.correlation > 0.9
    assert np.abs(np.subtract(told, real)).mean() < 0.03
    assert (np.diff(fit.dice) >= 0).all()


def test_each_case_is_foretold_by_the_other_folds_alone():
    expected = np.linspace(0.3, 0.9, 40)
    folds = np.arange(40) % 2
    real = np.where(folds == 0, expected, 0.2)
    fit, told = fit_quality(expected, real, folds)
    assert np.array(told)[folds == 0] == pytest.approx(0.2)
    assert np.array(told)[folds == 1] == pytest.approx(expected[folds == 1], abs=0.02)
    assert fit.error > 0.3


def test_bad_masks_are_to_be_checked_and_empty_ones_are_told():
    expected = np.linspace(0.2, 0.95, 30)
    fit, _ = fit_quality(expected, expected - 0.02, np.arange(30) % 3)
    assert fit.foretell(0.9).word == GOOD
    assert fit.foretell(0.3).word == CHECK
    assert fit.foretell(math.nan).word == EMPTY


def test_where_probabilities_say_nothing_all_are_foretold_the_mean():
    rng = np.random.default_rng(1)
    real = rng.uniform(0.5, 0.9, 12)
    fit, _ = fit_quality(np.full(12, 0.8), real, np.arange(12) % 3)
    assert fit.foretell(0.1).dice == pytest.approx(real.mean())
    falling, _ = fit_quality(np.linspace(0, 1, 12), np.linspace(1, 0, 12), [0] * 12)
    assert falling.foretell(0).dice == falling.foretell(1).dice == pytest.approx(0.5)


def test_no_mask_is_good_where_what_is_foretold_ranks_none():
    """The more sure, the worse: whatever is foretold out of fold is no reason to call a mask good."""
    rng = np.random.default_rng(2)
    expected = rng.uniform(0.6, 0.95, 24)
    fit, _ = fit_quality(expected, 1.4 - expected + rng.normal(0, 0.01, 24), np.arange(24) % 3)
    assert not fit.rank_correlation > 0
    assert {fit.foretell(value).word for value in (0.6, 0.95)} == {""}
    assert fit.judged(0.3).word == CHECK
    assert fit.foretell(math.nan).word == EMPTY


def test_few_cases_teach_nothing():
    assert fit_quality([0.5] * 7, [0.5] * 7, range(7)) is None


def test_what_is_kept_comes_back():
    expected = np.linspace(0.2, 0.95, 90)
    fit, _ = fit_quality(expected, expected**2, np.arange(90) % 3)
    assert read_quality(json.loads(json.dumps(fit.to_json()))) == fit
    unknown = read_quality({**fit.to_json(), "correlation": None})
    assert math.isnan(unknown.correlation)
    with pytest.raises(ValueError, match="equally many"):
        read_quality({**fit.to_json(), "dice": [0.5]})


def test_a_belief_added_up_in_blocks_is_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    probability = rng.integers(0, 256, (40, 30), dtype=np.uint8)
    mask = probability > 100
    belief = Belief(full=255)
    for rows in (slice(0, 7), slice(7, 40)):
        belief.add(probability[rows], mask[rows])
    assert belief.dice() == expected_dice(probability, mask, full=255)
    assert np.isnan(Belief().dice())
