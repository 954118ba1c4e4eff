"""Thresholds fitted to out-of-fold predictions, and what they gain when judged honestly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.scoring.overlap import CURVE_THRESHOLDS, DiceCurve, pool

CRITERIA = ("mean", "pooled")
# Pixels below a probability of a tenth are never marked, however little there is in an image.
LEAST = 26


@dataclass(frozen=True)
class FittedThreshold:
    """A threshold and what it is worth.

    `threshold` is fitted to all cases and is the one to use on new images. `by_fold` holds, for each
    fold, the threshold fitted to the other folds: `fitted_dice` is reached with these, so that no case
    is judged by a threshold that saw it; `default_dice` is reached at 0.5. `gain` is the difference.
    `image_dice` is reached where each image has the threshold of its own that `image_threshold` finds.
    """

    threshold: float
    by_fold: dict[Hashable, float]
    default_dice: float
    fitted_dice: float
    image_dice: float = math.nan

    @property
    def gain(self) -> float:
        """Dice won by fitting, judged out of fold; negative where fitting does harm."""
        return self.fitted_dice - self.default_dice

    @property
    def image_gain(self) -> float:
        """Dice won by thresholds of the images' own, which nothing is fitted for; NaN where unknown."""
        return self.image_dice - self.default_dice


def image_threshold(counts: NDArray[np.int64]) -> float:
    """The threshold of the highest expected Dice of one image, from how many pixels have each probability.

    `counts` (256,) are of probabilities k / 255. If these are to be believed, an image in which little is
    certain does best with a low threshold: to its best mask belong pixels above half of the Dice to expect
    of it (Lipton et al. 2014; Dai and Li 2023). At least 0.1, and half-way between two levels.

    >>> image_threshold(np.bincount([0] * 90 + [77] * 10, minlength=256))
    0.1
    """
    at_least = counts[::-1].cumsum()[::-1]
    overlap = (counts * CURVE_THRESHOLDS)[::-1].cumsum()[::-1]
    expected = 2 * overlap / np.maximum(at_least + overlap[0], 1e-9)
    return (LEAST + int(np.argmax(expected[LEAST:])) - 0.5) / (len(counts) - 1)


def fit_threshold(curves: Sequence[DiceCurve], criterion: str = "mean") -> float:
    """The threshold of the highest Dice over cases: "mean" over cases with the target, or "pooled".

    Among equally good thresholds the middle of the widest run is taken. Raises HilumError where no
    case has the target or the criterion is unknown.
    """
    score = np.round(_score(curves, criterion), 9)
    best = np.flatnonzero(score >= np.nanmax(score))
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(runs, key=len)
    return float(curves[0].thresholds[[widest[0], widest[-1]]].mean())


def cross_fit_threshold(
    curves: Sequence[DiceCurve],
    folds: Sequence[Hashable],
    criterion: str = "mean",
    own: Sequence[float] | None = None,
) -> FittedThreshold:
    """Fit on all cases, and for each fold on the others, to say what fitting gains.

    `curves` are out-of-fold, one a case; `folds` names the fold of each, `own` the threshold of each image's
    own. A fold whose others hold no case with the target keeps 0.5. Raises HilumError where no case has it.
    """
    if len(curves) != len(folds):
        raise HilumError(f"{len(curves)} curves and {len(folds)} folds: one fold a case is needed")
    by_fold: dict[Hashable, float] = {}
    for fold in dict.fromkeys(folds):
        others = [curve for curve, own in zip(curves, folds, strict=True) if own != fold]
        known = any(curve.truth_pixels for curve in others)
        by_fold[fold] = fit_threshold(others, criterion) if known else 0.5
    chosen = [by_fold[fold] for fold in folds]
    return FittedThreshold(
        threshold=fit_threshold(curves, criterion),
        by_fold=by_fold,
        default_dice=_dice_at(curves, [0.5] * len(curves), criterion),
        fitted_dice=_dice_at(curves, chosen, criterion),
        image_dice=_dice_at(curves, own, criterion) if own is not None else math.nan,
    )


def _score(curves: Sequence[DiceCurve], criterion: str) -> NDArray[np.float64]:
    """Dice (K,) over cases at each threshold."""
    if criterion not in CRITERIA:
        raise HilumError(f"criterion {criterion!r} is not one of {', '.join(CRITERIA)}")
    positive = [curve for curve in curves if curve.truth_pixels]
    if not positive:
        raise HilumError("no case has the target: a threshold cannot be fitted, leave it at 0.5")
    if criterion == "pooled":
        return pool(curves).dice
    mean: NDArray[np.float64] = np.mean([curve.dice for curve in positive], axis=0)
    return mean


def _dice_at(curves: Sequence[DiceCurve], thresholds: Sequence[float], criterion: str) -> float:
    counts = [curve.at(threshold) for curve, threshold in zip(curves, thresholds, strict=True)]
    if criterion == "pooled":
        return sum(counts[1:], start=counts[0]).dice
    return float(np.mean([count.dice for count in counts if count.truth_pixels]))
