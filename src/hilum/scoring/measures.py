"""Measures of classification as functions of bootstrap weights, so that value and interval share code.

A measure takes how often each group is drawn, (samples, groups), and answers (samples,). With a row of
ones it gives the plain value. Most measures are ratios of totals, which are summed once for each group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.scoring.bootstrap import NO_INTERVAL, SAMPLES, drawn, group_indices, percentile_interval
from hilum.scoring.calibration import BINS, bin_sums, error_of_bins
from hilum.scoring.overlap import ratio
from hilum.scoring.ranking import auc, average_precision

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
MEASURES = (
    "auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "brier",
    "ece",
)


@dataclass(frozen=True, eq=False)
class Groups:
    """The group (N,) of each case as a number, and how many groups there are."""

    index: NDArray[np.intp]
    count: int

    def only(self, rows: NDArray[np.bool_]) -> Groups:
        """The groups of some of the cases, numbered as before."""
        return Groups(self.index[rows], self.count)

    def renumbered(self) -> Groups:
        """The groups that have cases, numbered anew."""
        return Groups(*group_indices(self.index.tolist()))

    def sums(self, rows: Floats) -> Floats:
        """Sums (groups, ...) of the rows (N, ...) of each group."""
        sums = np.zeros((self.count, *rows.shape[1:]))
        np.add.at(sums, self.index, rows)
        return sums


def binary_measures(
    probability: Floats, label: NDArray[np.bool_], called: NDArray[np.bool_], groups: Groups
) -> dict[str, Measure]:
    """The measures of `MEASURES` for one class: its probability (N,), label (N,) and decision (N,).

    Precision is NaN where nothing is called positive, recall where nothing is positive, and so on.
    The calibration error is that of the positive class's probability.
    """
    counts = groups.sums(
        np.stack((label & called, ~label & called, label & ~called, ~label & ~called), 1).astype(np.float64)
    )
    squares = groups.sums(np.stack(((probability - label) ** 2, np.ones_like(probability)), 1))

    def rate(top: Sequence[int], bottom: Sequence[int]) -> Measure:
        weigh_top, weigh_bottom = counts @ np.array(top, float), counts @ np.array(bottom, float)
        return lambda draws: ratio(draws @ weigh_top, draws @ weigh_bottom)

    recall, specificity = rate((1, 0, 0, 0), (1, 0, 1, 0)), rate((0, 0, 0, 1), (0, 1, 0, 1))
    return {
        "auc": lambda draws: auc(probability, label, draws[:, groups.index]),
        "average_precision": lambda draws: average_precision(probability, label, draws[:, groups.index]),
        "accuracy": rate((1, 0, 0, 1), (1, 1, 1, 1)),
        "balanced_accuracy": lambda draws: (recall(draws) + specificity(draws)) / 2,
        "precision": rate((1, 0, 0, 0), (1, 1, 0, 0)),
        "recall": recall,
        "specificity": specificity,
        "f1": rate((2, 0, 0, 0), (2, 1, 1, 0)),
        "brier": lambda draws: ratio(draws @ squares[:, 0], draws @ squares[:, 1]),
        "ece": _calibration_error(probability, label.astype(np.float64), groups),
    }


def multiclass_measures(
    probabilities: Floats, label: NDArray[np.intp], called: NDArray[np.intp], groups: Groups
) -> dict[str, Measure]:
    """The measures of `MEASURES` for classes that exclude each other: probabilities (N, K), labels (N,).

    All but accuracy, Brier score (sum over classes, 0 to 2) and calibration error (of the highest
    probability) are means over classes, each against the rest; balanced accuracy is the mean recall.
    """
    classes = probabilities.shape[1]
    one_hot = np.eye(classes, dtype=bool)
    truth, decided = one_hot[label], one_hot[called]
    each = [binary_measures(probabilities[:, k], truth[:, k], decided[:, k], groups) for k in range(classes)]
    right = (label == called).astype(np.float64)
    errors = ((probabilities - truth) ** 2).sum(axis=1)
    sums = groups.sums(np.stack((right, errors, np.ones_like(right)), 1))
    measures = macro(each)
    return measures | {
        "accuracy": lambda draws: ratio(draws @ sums[:, 0], draws @ sums[:, 2]),
        "balanced_accuracy": measures["recall"],
        "brier": lambda draws: ratio(draws @ sums[:, 1], draws @ sums[:, 2]),
        "ece": _calibration_error(probabilities.max(axis=1), right, groups),
    }


def macro(each: Sequence[Mapping[str, Measure]]) -> dict[str, Measure]:
    """Means of the measures of several classes; a class whose measure is undefined is left out.

    The precision of a class that has cases and is never called counts as 0, so that none is gained by it.
    """

    def mean(name: str) -> Measure:
        return lambda draws: _defined_mean(np.stack([measures[name](draws) for measures in each]))

    def precision(draws: Floats) -> Floats:
        found, having = (
            np.stack([measures[name](draws) for measures in each]) for name in ("precision", "recall")
        )
        return _defined_mean(np.where(np.isnan(found) & ~np.isnan(having), 0.0, found))

    return {name: mean(name) for name in MEASURES} | {"precision": precision}


def evaluate(
    measures: Mapping[str, Measure], groups: Groups, cases: int, samples: int = SAMPLES, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Value, interval over groups and number of cases of each measure."""
    once = np.ones((1, groups.count))
    estimates: dict[str, list[Floats]] = {name: [] for name in measures}
    for draws in drawn(groups.count, samples, seed):
        for name, measure in measures.items():
            estimates[name].append(measure(draws))
    return {
        name: {
            "value": float(measure(once)[0]),
            "interval": list(
                percentile_interval(np.concatenate(estimates[name])) if estimates[name] else NO_INTERVAL
            ),
            "cases": cases,
        }
        for name, measure in measures.items()
    }


def _calibration_error(confidence: Floats, right: Floats, groups: Groups) -> Measure:
    index, parts = bin_sums(confidence, right)
    spread = np.zeros((len(index), BINS, 3))
    spread[np.arange(len(index)), index] = parts
    sums = groups.sums(spread).reshape(groups.count, -1)
    return lambda draws: error_of_bins((draws @ sums).reshape(len(draws), BINS, 3))


def _defined_mean(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0))
