"""Which threshold masks are decided by: what scores best out of fold, or what needs no fitting."""

import numpy as np
import pytest

from hilum.planning.plan import Plan
from hilum.scoring.overlap import dice_curve
from hilum.scoring.thresholds import Own
from hilum.tasks.mask_decisions import fit_decisions
from hilum.tasks.presence import Seen


def plan(threshold="fit"):
    content = {"task": "segment", "data": {"outputs": ["spot"]}, "scoring": {"threshold": threshold}}
    return Plan.model_validate(content)


def seen(fold, level, rng):
    """A disc told with a probability of `level` / 255 amid nothing: only a threshold below finds it."""
    y, x = np.ogrid[:40, :40]
    truth = (y - rng.integers(12, 28)) ** 2 + (x - rng.integers(12, 28)) ** 2 < 64
    told = np.where(truth, level, 0).astype(np.uint8)
    curve = dice_curve(told, truth)
    return {"spot": Seen(fold, np.nan, curve, np.bincount(told.ravel(), minlength=256))}


@pytest.mark.parametrize("level", [60, 250])
def test_one_fold_alone_uses_each_image_s_own_threshold(level):
    """There is no other fold to fit on, and a choice by the cases that are scored would flatter."""
    rng = np.random.default_rng(0)
    found = fit_decisions(plan(), [seen(2, level, rng) for _ in range(4)])
    assert found.cuts(2) == [Own()]
    assert found.final_cuts() == {"spot": Own()}
    assert found.records()["spot"]["fitted"]["choice"] == "image"


def test_several_folds_keep_one_half_where_nothing_else_pays():
    rng = np.random.default_rng(0)
    found = fit_decisions(plan(), [seen(fold, 250, rng) for fold in (0, 0, 1, 1)])
    assert found.final_cuts() == {"spot": 0.5}


def test_a_number_asked_for_is_used_with_one_fold_too():
    rng = np.random.default_rng(0)
    assert fit_decisions(plan(0.3), [seen(0, 60, rng)]).cuts(0) == [0.3]
