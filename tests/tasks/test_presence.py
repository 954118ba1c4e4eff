import numpy as np
import pytest

from hilum.scoring.overlap import dice_curve
from hilum.tasks.presence import Seen, fit_presence, presence_record, presence_score


def seen(fold, score, truth, found):
    """A case of 100 pixels with `truth` true pixels of which the mask finds `found`, 0 elsewhere."""
    wanted, probability = np.zeros(100, bool), np.zeros(100, np.uint8)
    wanted[:truth] = True
    probability[: found if truth else 0] = 255
    if not truth:
        probability[:found] = 255
    return Seen(fold, score, dice_curve(probability, wanted), np.bincount(probability, minlength=256))


CUTS = {0: 0.5, 1: 0.5}


def test_the_threshold_lies_between_the_kinds():
    cases = [seen(k % 2, 0.9 - 0.01 * k, 10, 10) for k in range(4)]
    cases += [seen(k % 2, 0.3 + 0.01 * k, 0, 10) for k in range(4)]
    fit = fit_presence(cases, CUTS, 0.5)
    assert 0.33 < fit.threshold < 0.87
    assert fit.auc == 1
    assert (fit.plain, fit.gated, fit.gain) == (0.5, 1.0, 0.5)
    assert (fit.empty, fit.cases) == (4, 8)


def test_each_fold_is_judged_by_a_threshold_of_the_others():
    cases = [seen(0, 0.9, 10, 10), seen(0, 0.6, 0, 10), seen(1, 0.5, 10, 10), seen(1, 0.2, 0, 10)]
    fit = fit_presence(cases, CUTS, 0.5)
    assert 0.2 < fit.by_fold[0] < 0.5
    assert 0.6 < fit.by_fold[1] < 0.9
    # Fold 0 keeps its false mask (0.6), fold 1 loses its true one (0.5).
    assert fit.gated == pytest.approx((1 + 0 + 0 + 1) / 4)


def test_nothing_is_suppressed_where_it_does_not_pay():
    cases = [seen(k % 2, 0.5, 10, 10) for k in range(6)] + [seen(k, 0.5, 0, 10) for k in range(2)]
    fit = fit_presence(cases, CUTS, 0.5)
    assert fit.threshold == 0
    assert fit.gain == 0


def test_one_kind_alone_tells_nothing():
    assert fit_presence([seen(0, 0.5, 10, 10)], CUTS, 0.5) is None
    assert fit_presence([seen(0, 0.5, 0, 10)], CUTS, 0.5) is None
    assert fit_presence([], {}, 0.5) is None


def test_a_single_fold_is_left_as_it_is():
    fit = fit_presence([seen(0, 0.9, 10, 10), seen(0, 0.1, 0, 10)], {0: 0.5}, 0.5)
    assert fit.by_fold == {0: 0.0}
    assert fit.gain == 0
    assert 0.1 < fit.threshold < 0.9


def test_the_mask_threshold_decides_what_is_kept():
    truth = np.zeros(100, bool)
    probability = np.full(100, 100, np.uint8)
    quiet = Seen(0, 0.2, dice_curve(probability, truth), np.bincount(probability, minlength=256))
    assert fit_presence([quiet, seen(1, 0.9, 10, 10)], CUTS, 0.5).plain == 1
    assert fit_presence([quiet, seen(1, 0.9, 10, 10)], {0: 0.3, 1: 0.3}, 0.3).plain == 0.5


def test_the_score_prefers_a_structure_to_stray_pixels(disc):
    structure = np.where(disc((96, 96), (48, 48), 12), 200, 0).astype(np.uint8)
    stray = np.zeros((96, 96), np.uint8)
    stray[8::17, 6::13] = 255
    assert presence_score(structure) > 0.7
    assert presence_score(stray) < 0.3
    assert presence_score(structure[None].repeat(3, 0)) == presence_score(structure)


def test_the_record_says_what_is_used():
    fit = fit_presence([seen(k % 2, 0.9 - 0.1 * k, 10 * (k < 3), 10) for k in range(6)], CUTS, 0.5)
    assert presence_record(fit, used=True)["threshold"] == fit.threshold
    unused = presence_record(fit, used=False)
    assert unused["threshold"] == 0
    assert unused["challenge_dice"] == unused["challenge_dice_plain"] == fit.plain
