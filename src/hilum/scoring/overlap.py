"""Overlap of a prediction with the truth: counts, Dice and its relatives, at one or many thresholds.

Conventions. Dice, Jaccard, precision and recall say something about cases that have the target. Where
truth and prediction are both empty they are 0 / 0 and therefore NaN; such cases are judged by their
false-positive area instead. `challenge_dice` gives the other convention of the field: 1 where both are
empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.errors import HilumError

LEVELS = 256
CURVE_THRESHOLDS = np.arange(LEVELS) / (LEVELS - 1)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Element-wise quotient; NaN where the denominator is 0.

    >>> ratio([1, 0], [2, 0])
    array([0.5, nan])
    """
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    quotient: NDArray[np.float64] = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


@dataclass(frozen=True)
class Overlap:
    """Pixels found rightly (`tp`), wrongly (`fp`) and missed (`fn`).

    >>> Overlap(tp=6, fp=2, fn=2).dice
    0.75
    >>> Overlap(0, 0, 0).dice
    nan
    """

    tp: int
    fp: int
    fn: int

    @property
    def truth_pixels(self) -> int:
        """Pixels of the target in the truth."""
        return self.tp + self.fn

    @property
    def predicted_pixels(self) -> int:
        """Pixels of the target in the prediction."""
        return self.tp + self.fp

    @property
    def dice(self) -> float:
        """2 tp / (2 tp + fp + fn), 0 to 1; NaN where both are empty."""
        return float(ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn))

    @property
    def jaccard(self) -> float:
        """Tp / (tp + fp + fn), 0 to 1; NaN where both are empty."""
        return float(ratio(self.tp, self.tp + self.fp + self.fn))

    @property
    def precision(self) -> float:
        """Share of the prediction that is right, 0 to 1; NaN where nothing is predicted."""
        return float(ratio(self.tp, self.tp + self.fp))

    @property
    def recall(self) -> float:
        """Share of the target that is found, 0 to 1; NaN where there is no target."""
        return float(ratio(self.tp, self.tp + self.fn))

    @property
    def challenge_dice(self) -> float:
        """Dice as many challenges count it: 1 where truth and prediction are both empty."""
        return 1.0 if self.tp + self.fp + self.fn == 0 else self.dice


def overlap(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Overlap:
    """Count the overlap of two masks of equal shape (any axes).

    Raises HilumError where the shapes differ.

    >>> overlap(np.array([True, True, False]), np.array([False, True, True]))
    Overlap(tp=1, fp=1, fn=1)
    """
    _same_shape(prediction, truth)
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    tp = int(np.count_nonzero(prediction & truth))
    return Overlap(tp, int(np.count_nonzero(prediction)) - tp, int(np.count_nonzero(truth)) - tp)


@dataclass(frozen=True, eq=False)
class DiceCurve:
    """Overlap at many thresholds at once: `tp`, `fp`, `fn` are (K,) counts at `thresholds` (K,).

    A pixel is predicted where its probability is at or above the threshold.
    """

    thresholds: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]

    @property
    def truth_pixels(self) -> int:
        """Pixels of the target in the truth."""
        return int(self.tp[0] + self.fn[0])

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice (K,) at each threshold, NaN where truth and prediction are both empty."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def at(self, threshold: float) -> Overlap:
        """The overlap of the mask at or above `threshold`: at the curve's first threshold not below it.

        Exact where the curve has all levels that the probability has, as those of `dice_curve` do.
        """
        index = int(np.searchsorted(self.thresholds, threshold - 1e-12))
        if index == len(self.thresholds):
            return Overlap(0, 0, self.truth_pixels)
        return Overlap(int(self.tp[index]), int(self.fp[index]), int(self.fn[index]))


def dice_curve(probability: NDArray[Any], truth: NDArray[np.bool_]) -> DiceCurve:
    """Overlap at the 256 thresholds k / 255 in one pass, for arrays of any axes.

    `probability` is float in 0 to 1, uint8 with 255 for certainty, or a bool mask. Float values are
    cut down to multiples of 1/255, which changes no comparison with these thresholds.
    Raises HilumError where shapes differ or a probability is not within 0 to 1.
    """
    return _curve(_levels(probability), LEVELS, CURVE_THRESHOLDS, truth)


def dice_at_thresholds(
    probability: NDArray[Any], truth: NDArray[np.bool_], thresholds: Sequence[float]
) -> DiceCurve:
    """Overlap at any ascending `thresholds`, exact, in one pass; arguments as in `dice_curve`.

    >>> curve = dice_at_thresholds(np.array([0.1, 0.5, 0.9]), np.array([False, True, True]), [0.2, 0.8])
    >>> curve.dice.round(3).tolist()
    [1.0, 0.667]
    """
    cuts = np.asarray(thresholds, np.float64)
    if cuts.ndim != 1 or not cuts.size or np.any(np.diff(cuts) <= 0):
        raise HilumError(f"thresholds {list(thresholds)} must be one or more ascending numbers")
    if probability.dtype == np.bool_ or probability.dtype == np.uint8:
        level_of = np.searchsorted(cuts, CURVE_THRESHOLDS, side="right").astype(np.intp)
        levels = level_of[_levels(probability)]
    else:
        levels = np.digitize(_checked(probability), cuts)
    curve = _curve(levels, cuts.size + 1, np.concatenate(([-np.inf], cuts)), truth)
    return DiceCurve(cuts, curve.tp[1:], curve.fp[1:], curve.fn[1:])


def _curve(
    levels: NDArray[Any], count: int, thresholds: NDArray[np.float64], truth: NDArray[np.bool_]
) -> DiceCurve:
    """Histogram the levels inside and outside the truth and sum both from the top."""
    _same_shape(levels, truth)
    inside = np.asarray(truth, bool)
    parts = (inside, ~inside)
    tp, fp = (np.bincount(levels[where], minlength=count)[::-1].cumsum()[::-1] for where in parts)
    return DiceCurve(thresholds, tp.astype(np.int64), fp.astype(np.int64), (tp[0] - tp).astype(np.int64))


def _levels(probability: NDArray[Any]) -> NDArray[np.uint8]:
    if probability.dtype == np.uint8:
        return probability
    if probability.dtype == np.bool_:
        return np.where(probability, np.uint8(255), np.uint8(0))
    return (_checked(probability) * np.float64(LEVELS - 1)).astype(np.uint8)


def _checked(probability: NDArray[Any]) -> NDArray[Any]:
    if probability.dtype.kind != "f":
        raise HilumError(f"probabilities of type {probability.dtype}: allowed are float, uint8, bool")
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise HilumError(f"probabilities {probability.min()} to {probability.max()} are not within 0 to 1")
    return probability


def _same_shape(first: NDArray[Any], second: NDArray[Any]) -> None:
    shapes = np.shape(first), np.shape(second)
    if shapes[0] != shapes[1]:
        raise HilumError(f"shapes {shapes[0]} and {shapes[1]} differ: both must be of the same image")
