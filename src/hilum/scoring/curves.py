"""Points of the curves that a report draws for a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.scoring.calibration import BINS, reliability_curve


@dataclass(frozen=True, eq=False)
class Curve:
    """Points `x`, `y` with the threshold (ROC, precision-recall) or number of cases (reliability) of each."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    at: NDArray[np.float64]


def roc_points(probability: ArrayLike, label: ArrayLike) -> Curve:
    """False-positive rate against sensitivity, from (0, 0) at an infinite threshold to (1, 1)."""
    from sklearn.metrics import roc_curve

    values, truth = _known(probability, label)
    return Curve(*(np.asarray(part, np.float64) for part in roc_curve(truth, values)))


def precision_recall_points(probability: ArrayLike, label: ArrayLike) -> Curve:
    """Recall against precision, in order of falling recall; the last point (0, 1) is a convention."""
    from sklearn.metrics import precision_recall_curve

    values, truth = _known(probability, label)
    precision, recall, thresholds = precision_recall_curve(truth, values)
    return Curve(np.asarray(recall), np.asarray(precision), np.append(thresholds, np.inf))


def reliability_points(probability: ArrayLike, label: ArrayLike, bins: int = BINS) -> Curve:
    """Mean probability against the share of positives, for each bin that has cases."""
    confidence, share, cases = reliability_curve(*_known(probability, label), bins)
    return Curve(confidence, share, cases.astype(np.float64))


def _known(probability: ArrayLike, label: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Float64 probabilities and labels 0, 1; cases whose label is NaN are left out."""
    values, truth = np.asarray(probability, np.float64), np.asarray(label, np.float64)
    known = ~np.isnan(truth)
    return values[known], truth[known]
