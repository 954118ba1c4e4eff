"""The probability from which on a case is called positive, chosen by a stated rule."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.errors import HilumError

RULES = "youden, min-sensitivity=0.99 or cost=1:5 (of a false positive : of a false negative)"
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it did on the data it was chosen on.

    A case is positive where its probability is at or above `threshold`. `sensitivity` and
    `specificity` (0 to 1) are those of the `cases` used for choosing; new data will differ.
    """

    rule: str
    threshold: float
    sensitivity: float
    specificity: float
    cases: int


def operating_point(probability: ArrayLike, label: ArrayLike, rule: str = "youden") -> OperatingPoint:
    """Choose a threshold on validation data, never on the test set.

    `probability` (N,) of the positive class, `label` (N,) of 0, 1 or NaN (left out). Rules:
    "youden" maximises sensitivity + specificity; "min-sensitivity=0.99" takes the highest specificity
    among thresholds with at least that sensitivity; "cost=1:5" minimises the cost, here with a missed
    positive five times as dear as a false alarm. The threshold lies midway between two probabilities.
    Raises HilumError where the rule is not understood or one of both classes is missing.

    >>> operating_point([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1], "min-sensitivity=1").threshold
    0.25
    """
    values, truth = _known(probability, label)
    cuts = _cuts(values)
    sensitivity = _share_at_or_above(values[truth], cuts)
    specificity = 1 - _share_at_or_above(values[~truth], cuts)
    worth = _worth(rule, sensitivity, specificity, float(truth.mean()))
    best = len(cuts) - 1 - int(np.argmax(worth[::-1]))  # the higher threshold where two are equally good
    return OperatingPoint(
        rule, float(cuts[best]), float(sensitivity[best]), float(specificity[best]), len(values)
    )


def at_threshold(probability: ArrayLike, label: ArrayLike, threshold: float = 0.5) -> OperatingPoint:
    """What a threshold that was given, not chosen, does on labelled data."""
    values, truth = _known(probability, label)
    cut = np.array([threshold])
    sensitivity, alarms = (_share_at_or_above(values[kind], cut)[0] for kind in (truth, ~truth))
    return OperatingPoint("fixed", threshold, float(sensitivity), float(1 - alarms), len(values))


def _known(probability: ArrayLike, label: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = np.asarray(probability, np.float64), np.asarray(label, np.float64)
    if values.shape != truth.shape or values.ndim != 1:
        raise HilumError(f"probabilities {values.shape} and labels {truth.shape} must both be (cases,)")
    known = ~np.isnan(truth)
    values, positive = values[known], truth[known] == 1
    if positive.all() or not positive.any():
        found = f"{np.count_nonzero(positive)} positive and {np.count_nonzero(~positive)} negative"
        raise HilumError(f"an operating point needs positive and negative cases; found {found}")
    return values, positive


def _cuts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending thresholds: all positive, between each two neighbours, none positive."""
    levels = np.unique(values)
    between = np.maximum((levels[:-1] + levels[1:]) / 2, np.nextafter(levels[:-1], 2))
    top = (levels[-1] + 1) / 2 if levels[-1] < 1 else np.nextafter(levels[-1], np.inf)
    return np.concatenate(([min(0.0, levels[0])], between, [top]))


def _share_at_or_above(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 - np.searchsorted(np.sort(values), cuts, side="left") / len(values), np.float64)


def _worth(
    rule: str, sensitivity: NDArray[np.float64], specificity: NDArray[np.float64], prevalence: float
) -> NDArray[np.float64]:
    if rule == "youden":
        return np.round(sensitivity + specificity, 12)
    if match := re.fullmatch(rf"min-sensitivity={_NUMBER}", rule):
        wanted = float(match[1])
        if not 0 < wanted <= 1:
            raise HilumError(f"rule {rule!r}: a sensitivity lies above 0 and at most at 1, like 0.99")
        return np.where(sensitivity >= wanted - 1e-12, specificity, -1.0)
    if match := re.fullmatch(rf"cost={_NUMBER}:{_NUMBER}", rule):
        alarms = float(match[1]) * (1 - prevalence) * (1 - specificity)
        return np.round(-alarms - float(match[2]) * prevalence * (1 - sensitivity), 12)
    raise HilumError(f"rule {rule!r} is not understood: write {RULES}")
