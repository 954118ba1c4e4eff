"""Scores of a ranking: area under the ROC curve and average precision, weighted, many weightings at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hilum.scoring.overlap import ratio

Floats = NDArray[np.float64]
CHUNK_VALUES = 4_000_000


def auc(probability: Floats, label: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """Area under the ROC curve (S,) for each row of `weights` (S, N); ties count half.

    `probability` (N,) may be any score, `label` (N,) is True for positives; without weights S is 1.
    NaN where a row has no positives or no negatives.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).tolist()
    [0.75]
    """
    return _over_thresholds(probability, label, weights, _area)


def average_precision(probability: Floats, label: NDArray[np.bool_], weights: Floats | None = None) -> Floats:
    """Sum over thresholds of precision times the rise of recall (S,); arguments as in `auc`."""
    return _over_thresholds(probability, label, weights, _precision_sum)


def _over_thresholds(
    probability: Floats,
    label: NDArray[np.bool_],
    weights: Floats | None,
    score: Callable[[Floats, Floats], Floats],
) -> Floats:
    """Weights of positives and negatives at each distinct probability, highest first, to `score`."""
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    if not ranked.size:
        return np.full(1 if weights is None else len(weights), np.nan)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(ranked)) + 1))
    table = np.ones((1, ranked.size)) if weights is None else weights
    scores = []
    for rows in _chunks(len(table), ranked.size):
        chunk = table[rows][:, order]
        positive = np.add.reduceat(chunk * label[order], starts, axis=1)
        negative = np.add.reduceat(chunk * ~label[order], starts, axis=1)
        scores.append(score(positive, negative))
    return np.concatenate(scores)


def _chunks(count: int, width: int) -> Iterator[slice]:
    step = max(1, CHUNK_VALUES // width)
    return (slice(start, start + step) for start in range(0, count, step))


def _area(positive: Floats, negative: Floats) -> Floats:
    above = positive.cumsum(axis=1) - positive / 2
    return ratio((negative * above).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _precision_sum(positive: Floats, negative: Floats) -> Floats:
    found, called = positive.cumsum(axis=1), (positive + negative).cumsum(axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return ratio((positive * precision).sum(axis=1), positive.sum(axis=1))
