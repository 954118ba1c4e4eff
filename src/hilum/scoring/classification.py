"""Scores of a classifier, as summary.json holds them."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.errors import HilumError
from hilum.scoring.bootstrap import SAMPLES, group_indices
from hilum.scoring.measures import (
    Groups,
    Measure,
    binary_measures,
    evaluate,
    macro,
    multiclass_measures,
)
from hilum.scoring.operating_point import OperatingPoint

Floats = NDArray[np.float64]
logger = logging.getLogger(__name__)


def summarise_classification(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    groups: Sequence[Hashable] | None = None,
    exclusive: bool = True,
    point: OperatingPoint | None = None,
    thresholds: ArrayLike | None = None,
    rules: Sequence[str] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The classification part of summary.json: `{"auc": {"value", "interval", "cases"}, ...}`.

    `probabilities` is (N,), (N, 1) or (N, K), 0 to 1; `labels` (N,) class indices or (N, K) of 0, 1 and
    NaN (unknown, left out). Two exclusive classes are one yes-or-no question about the last class of
    `classes`, decided at `point` (0.5 if not given) or at a threshold (N,) for each case, as fitted
    out of fold. More exclusive classes are decided by the highest probability. With `exclusive` False
    each class is a question of its own at 0.5 (or `thresholds` (K,) or (N, K), chosen by `rules` (K,));
    headline figures are means
    over classes, and "classes" holds the figures of each; classes without a known label are named under
    "classes_left_out" and count nowhere. Intervals are 95 %, drawn over groups.
    Raises HilumError where shapes or values do not fit, or no label is known.
    """
    values = _probabilities(probabilities)
    truth = np.asarray(labels, np.float64)
    if len(truth) != len(values) or (groups is not None and len(groups) != len(values)):
        raise HilumError(f"{len(values)} probabilities, {len(truth)} labels: each case needs both")
    index = Groups(*group_indices(range(len(values)) if groups is None else groups))
    if not exclusive:
        stated = rules or ["fixed"] * len(classes)
        return _multi_label(values, truth, classes, index, (thresholds, stated), samples, seed)
    chosen, known = _class_indices(truth, len(classes))
    values, chosen, index = values[known], chosen[known], index.only(known).renumbered()
    if values.shape[1] not in (len(classes), len(classes) - 1 if len(classes) == 2 else 0):
        raise HilumError(f"{values.shape[1]} probabilities a case for {len(classes)} classes")
    if len(classes) == 2:
        cuts = None if thresholds is None else np.asarray(thresholds, np.float64)[known]
        return summarise_binary(
            values[:, -1], chosen == 1, classes, index, point=point, cuts=cuts, samples=samples, seed=seed
        )
    return _multiclass(values, chosen, classes, index, samples, seed)


def summarise_binary(
    probability: Floats,
    label: NDArray[np.bool_],
    classes: Sequence[str],
    groups: Groups,
    *,
    point: OperatingPoint | None = None,
    cuts: Floats | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Summary of a yes-or-no question, with its operating point and what it costs."""
    cut = cuts if cuts is not None else np.float64(point.threshold if point else 0.5)
    called = probability >= cut
    scores = evaluate(binary_measures(probability, label, called, groups), groups, len(label), samples, seed)
    return {
        **scores,
        "operating_point": _stated(point, cuts, scores),
        "positive": classes[-1],
        **_details(label.astype(np.intp), called.astype(np.intp), classes, groups),
    }


def class_report(label: ArrayLike, called: ArrayLike, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 and support of each class from class indices (N,); NaN where undefined."""
    from sklearn.metrics import precision_recall_fscore_support

    parts = precision_recall_fscore_support(
        label, called, labels=range(len(classes)), zero_division=np.nan, average=None
    )
    names = ("precision", "recall", "f1")
    return {
        name: {
            **{key: float(part[i]) for key, part in zip(names, parts, strict=False)},
            "support": int(parts[3][i]),
        }
        for i, name in enumerate(classes)
    }


def confusion(label: ArrayLike, called: ArrayLike, classes: Sequence[str]) -> dict[str, Any]:
    """Counts with a row for each true and a column for each called class."""
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(label, called, labels=range(len(classes)))
    return {"classes": list(classes), "matrix": matrix.tolist()}


def _multiclass(
    values: Floats, label: NDArray[np.intp], classes: Sequence[str], groups: Groups, samples: int, seed: int
) -> dict[str, Any]:
    called = values.argmax(axis=1)
    measures = multiclass_measures(values, label, called, groups)
    return {
        **evaluate(measures, groups, len(label), samples, seed),
        "operating_point": {"rule": "highest probability"},
        "average": "mean over classes, each against the rest",
        **_details(label, called, classes, groups),
    }


def _multi_label(
    values: Floats,
    truth: Floats,
    classes: Sequence[str],
    groups: Groups,
    decided: tuple[ArrayLike | None, Sequence[str]],
    samples: int,
    seed: int,
) -> dict[str, Any]:
    thresholds, rules = decided
    if values.shape != truth.shape or values.shape[1] != len(classes):
        raise HilumError(
            f"probabilities {values.shape} and labels {truth.shape} do not fit {len(classes)} classes"
        )
    cuts = np.broadcast_to(0.5 if thresholds is None else np.asarray(thresholds, np.float64), values.shape)
    left_out = _without_labels(truth, classes)
    rows = np.asarray((~np.isnan(truth)).any(axis=1))
    values, truth, cuts, groups = values[rows], truth[rows], cuts[rows], groups.only(rows).renumbered()
    each: list[Mapping[str, Measure]] = []
    by_class: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(classes):
        if name in left_out:
            continue
        known = ~np.isnan(truth[:, k])
        own = values[known, k], truth[known, k] == 1, values[known, k] >= cuts[known, k]
        each.append(binary_measures(*own, groups.only(known)))
        labelled = groups.only(known).renumbered()
        scores = evaluate(binary_measures(*own, labelled), labelled, int(known.sum()), samples, seed)
        point = OperatingPoint(rules[k], float(cuts[:, k].mean()), np.nan, np.nan, 0)
        by_class[name] = {
            **scores,
            "operating_point": _stated(point, None, scores),
            "support": int(own[1].sum()),
        }
    return {
        **evaluate(macro(each), groups, len(values), samples, seed),
        "operating_point": {"rule": "a threshold for each class", "threshold": cuts.mean(axis=0).tolist()},
        "average": "mean over classes",
        "classes": by_class,
        **({"classes_left_out": left_out} if left_out else {}),
        "groups": groups.count,
    }


def _without_labels(truth: Floats, classes: Sequence[str]) -> list[str]:
    """Classes of which no label is known, told in a warning. Raises HilumError where these are all."""
    unknown = np.asarray(np.isnan(truth).all(axis=0))
    if unknown.all():
        raise HilumError(
            "no case has a known label: nothing can be scored; give labels of one class at least"
        )
    names = [name for name, gone in zip(classes, unknown, strict=True) if gone]
    if names:
        logger.warning("no case has a known label of %s: left out of the scores", ", ".join(names))
    return names


def _stated(
    point: OperatingPoint | None, cuts: Floats | None, scores: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The operating point with what it does here, and beside it what it did where it was chosen."""
    here = {"sensitivity": scores["recall"]["value"], "specificity": scores["specificity"]["value"]}
    rule = point.rule if point else "fixed"
    if cuts is not None:
        spread = {"lowest": float(cuts.min()), "highest": float(cuts.max())}
        threshold = point.threshold if point else float(np.mean(cuts))
        return {"rule": f"{rule}, out of fold", "threshold": threshold, **spread, **here}
    stated: dict[str, Any] = {"rule": rule, "threshold": point.threshold if point else 0.5, **here}
    if point and point.cases:
        stated["chosen_on"] = {
            "cases": point.cases,
            "sensitivity": point.sensitivity,
            "specificity": point.specificity,
        }
    return stated


def _details(
    label: NDArray[np.intp], called: NDArray[np.intp], classes: Sequence[str], groups: Groups
) -> dict[str, Any]:
    return {
        "per_class": class_report(label, called, classes),
        "confusion": confusion(label, called, classes),
        "groups": groups.count,
    }


def _probabilities(probabilities: ArrayLike) -> Floats:
    """Probabilities as (N, K)."""
    values = np.asarray(probabilities, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        raise HilumError(f"probabilities of shape {values.shape}: allowed are (cases,) and (cases, classes)")
    if not (values.min() >= 0 and values.max() <= 1):
        raise HilumError(f"probabilities {values.min()} to {values.max()} are not within 0 to 1")
    return values


def _class_indices(truth: Floats, count: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Class index (N,) of each case and which are known, from indices or from rows of 0, 1 and NaN."""
    if truth.ndim == 2:
        known = np.asarray(~np.isnan(truth).any(axis=1))
        if truth.shape[1] != count or not (truth[known].sum(axis=1) == 1).all():
            raise HilumError(f"labels {truth.shape}: each case needs exactly one of the {count} classes")
        chosen = np.where(known, np.nan_to_num(truth).argmax(axis=1), 0)
    else:
        known = np.asarray(~np.isnan(truth))
        chosen = np.where(known, truth, 0).astype(np.intp)
    if not known.any():
        raise HilumError("no case has a known label: nothing can be scored")
    if chosen.min() < 0 or chosen.max() >= count:
        raise HilumError(f"labels {chosen.min()} to {chosen.max()} are not indices of {count} classes")
    return chosen.astype(np.intp), known
