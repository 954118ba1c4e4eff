import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.scoring.overlap import dice_curve
from hilum.scoring.quality import expected_dice
from hilum.scoring.thresholds import (
    TEMPERATURES,
    Own,
    cross_fit_threshold,
    cut_from_json,
    cut_to_json,
    fit_threshold,
    image_threshold,
    softened,
)


def case(cut, seed, shift=0.0):
    """A case whose truth is exactly the probability above `cut`."""
    probability = np.random.default_rng(seed).random((40, 40))
    return dice_curve(probability, probability >= cut)


def test_finds_the_cut_that_made_the_truth():
    curves = [case(0.3, seed) for seed in range(4)]
    assert fit_threshold(curves) == pytest.approx(0.3, abs=0.01)


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


def test_cases_without_the_target_do_not_move_the_threshold():
    noise = dice_curve(np.full((40, 40), 0.6), np.zeros((40, 40), bool))
    assert fit_threshold([case(0.3, 0), noise]) == pytest.approx(0.3, abs=0.01)


def test_no_target_anywhere_is_an_error():
    with pytest.raises(HilumError, match="no case has the target"):
        fit_threshold([dice_curve(np.zeros(4), np.zeros(4, bool))])


def test_a_fold_whose_others_have_no_target_keeps_one_half():
    empty = dice_curve(np.zeros(4), np.zeros(4, bool))
    assert cross_fit_threshold([case(0.3, 0), empty], ["a", "b"]).by_fold["a"] == 0.5


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60))
def test_an_image_s_own_threshold_has_the_highest_expected_dice(levels):
    """Against all masks that a threshold can make, one by one."""
    values = np.array(levels, np.uint8)
    cut = image_threshold(np.bincount(values, minlength=256))
    assert 0.1 <= cut < 1
    best = max(
        (expected_dice(values, values >= k, 255) for k in range(26, 256) if (values >= k).any()),
        default=None,
    )
    if best is not None:
        assert expected_dice(values, values >= cut * 255, 255) == pytest.approx(best)
    else:
        assert not (values >= cut * 255).any()


def test_believable_probabilities_do_best_with_the_image_s_own_threshold():
    """Truth drawn from the probabilities themselves: little that is certain needs a low threshold."""
    rng = np.random.default_rng(0)
    probability = (rng.beta(0.3, 3.0, (200, 200)) * 255).astype(np.uint8)
    curves = [dice_curve(probability, rng.random((200, 200)) < probability / 255.0) for _ in range(4)]
    cut = image_threshold(np.bincount(probability.ravel(), minlength=256))
    fitted = cross_fit_threshold(
        curves, [0, 1, 2, 3], counts=[np.bincount(probability.ravel(), minlength=256)] * 4
    )
    assert cut < 0.35
    assert fitted.own.temperature == 1.0
    assert {own.temperature for own in fitted.owns.values()} == {1.0}
    assert fitted.image_gain > 0.05
    assert fitted.image_dice == pytest.approx(fitted.fitted_dice, abs=0.005)


def too_sure(base, steepness, rng):
    """Curves, counts and folds of images that differ in how much there is; truth is drawn from softer
    probabilities than those told, and at least `base` everywhere."""
    curves, counts, folds = [], [], []
    for number in range(16):
        part = (0.3, 1.0, 4.0, 16.0)[number // 4] * rng.uniform(0.5, 2)
        true = np.maximum(base, rng.beta(0.4 * part, 3.0, (160, 160)))
        told = (softened(1 / steepness)[np.rint(true * 255).astype(int)] * 255).astype(np.uint8)
        curves.append(dice_curve(told, rng.random(told.shape) < true))
        counts.append(np.bincount(told.ravel(), minlength=256))
        folds.append(number % 4)
    return curves, counts, folds


def test_a_temperature_is_found_for_probabilities_that_are_too_sure():
    curves, counts, folds = too_sure(0.0, 3, np.random.default_rng(1))
    fitted = cross_fit_threshold(curves, folds, counts=counts)
    assert 2.0 <= fitted.own.temperature <= 4.0
    assert fitted.tempered_dice > fitted.image_dice + 0.01
    assert fitted.tempered_dice > fitted.fitted_dice


def test_what_lies_where_nothing_is_told_is_counted():
    """The target lies everywhere now and then, and there the answer is 0: the background is to be counted."""
    curves, counts, folds = too_sure(0.06, 2, np.random.default_rng(1))
    fitted = cross_fit_threshold(curves, folds, counts=counts)
    assert fitted.own.background == max(int(each[0]) for each in counts)
    without = [
        curve.at(image_threshold(each, Own(temperature))).dice
        for temperature in TEMPERATURES
        for curve, each in zip(curves, counts, strict=True)
    ]
    assert fitted.tempered_dice > np.reshape(without, (len(TEMPERATURES), -1)).mean(1).max()


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=60),
    st.sampled_from(TEMPERATURES),
    st.integers(0, 80),
)
def test_softened_and_with_background_the_expected_dice_is_the_highest(levels, temperature, background):
    """Against all masks that a threshold can make; no more of the zeros count than they are, or may."""
    values = np.array(sorted(levels), np.uint8)
    values = values[max(0, int((values == 0).sum()) - background) :]
    believed = softened(temperature)[values]
    cut = image_threshold(np.bincount(levels, minlength=256), Own(temperature, background)) * 255
    assert not (values[values >= cut] == 0).any()
    dice = {
        k: 2 * believed[values >= k].sum() / ((values >= k).sum() + believed.sum())
        for k in range(1, 256)
        if softened(temperature)[k] >= 0.1 and (values >= k).any()
    }
    if dice:
        mask = values >= cut
        assert 2 * believed[mask].sum() / (mask.sum() + believed.sum()) == pytest.approx(max(dice.values()))


def test_softened_probabilities_keep_their_order_and_ends():
    assert np.allclose(softened(1.0), [0.25 / 255, *np.arange(1, 256) / 255])
    for temperature in (0.5, 2.0, 4.0):
        table = softened(temperature)
        assert (np.diff(table) > 0).all()
        assert table[0] > 0
        assert table[255] == 1.0
        assert table[128] == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("cut", [0.5, Own(), Own(2.5), Own(2.0, 300_000)])
def test_thresholds_go_through_json(cut):
    assert cut_from_json(json.loads(json.dumps(cut_to_json(cut)))) == cut


def test_without_thresholds_of_their_own_nothing_is_said_of_them():
    assert np.isnan(cross_fit_threshold([case(0.3, 0), case(0.3, 1)], [0, 1]).image_gain)
