"""What a classifier writes: one table row an image, and the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.files import whole_file
from hilum.planning.plan import Plan
from hilum.scoring.classification import summarise_classification
from hilum.scoring.operating_point import OperatingPoint
from hilum.study.study import Case
from hilum.tasks.decisions import Decision, Outcome, by_class, calibrated, called, is_exclusive

Floats = NDArray[np.float64]
NONE = "none"


def image_rows(
    outcome: Outcome, decisions: Mapping[int, Decision], plan: Plan, classes: Sequence[str], root: Path
) -> list[dict[str, Any]]:
    """One row a case: decision, probability and calibrated probability of each class, threshold, label."""
    rows = []
    for index, case in enumerate(outcome.cases):
        decision = decisions[int(outcome.fold[index])]
        raw = outcome.probability[index : index + 1]
        values = calibrated(raw, decision, plan)
        call = called_name(called(values, decision, plan)[0], plan, classes)
        row: dict[str, Any] = {"file": file_of(case, root), "case": case.name, "group": case.group}
        if outcome.fold[index] >= 0:
            row["fold"] = int(outcome.fold[index])
        row["class"] = call
        row |= {f"probability_{n}": round(float(p), 6) for n, p in _named(by_class(raw, plan)[0], classes)}
        row |= {f"calibrated_{n}": round(float(p), 6) for n, p in _named(by_class(values, plan)[0], classes)}
        if len(decision.points) == 1:
            row["threshold"] = decision.points[0].threshold
        truth = true_name(outcome.label[index], plan, classes)
        if truth is not None:
            row |= {"label": truth, "correct": truth == call}
        rows.append(row)
    return rows


def _named(values: Floats, classes: Sequence[str]) -> list[tuple[str, float]]:
    names = classes[-len(values) :]
    return list(zip(names, values.tolist(), strict=True))


def called_name(call: NDArray[np.bool_], plan: Plan, classes: Sequence[str]) -> str:
    """The called class; of several labels all that are called, joined by |."""
    if len(call) == 1:
        return classes[int(call[0])]
    return "|".join(name for name, found in zip(classes, call, strict=True) if found) or NONE


def true_name(label: Floats, plan: Plan, classes: Sequence[str]) -> str | None:
    """The labelled class in the same words; None where a label is unknown."""
    return None if np.isnan(label).any() else called_name(label > 0.5, plan, classes)


def file_of(case: Case, root: Path) -> str:
    """The image's file below `root`, inside an archive with its place."""
    path, root = case.image.path.absolute(), root.absolute()
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    inside = "".join(f"[{part}]" for part in (case.image.entry, case.image.index) if part is not None)
    return shown + inside


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all."""
    import pandas as pd

    with whole_file(path) as beside:
        pd.DataFrame(list(rows)).to_csv(beside, index=False)


def summarise(
    outcome: Outcome, decisions: Mapping[int, Decision], plan: Plan, classes: Sequence[str]
) -> dict[str, Any]:
    """The scores of calibrated probabilities, each case decided by the decision of its fold."""
    values = np.zeros_like(outcome.probability)
    for fold in np.unique(outcome.fold):
        own = outcome.fold == fold
        values[own] = calibrated(outcome.probability[own], decisions[int(fold)], plan)
    groups = [case.group or case.name for case in outcome.cases]
    shared: dict[str, Any] = {
        "groups": groups,
        "samples": plan.scoring.bootstrap,
        "seed": plan.training.seed,
    }
    if is_exclusive(plan):
        return summarise_classification(values, outcome.label, classes, **shared)
    cuts = np.stack([decisions[int(fold)].thresholds for fold in outcome.fold])
    if len(plan.data.outputs) > 1:
        return summarise_classification(
            values, outcome.label, classes, exclusive=False, thresholds=cuts, **shared
        )
    point = _one_point(decisions)
    same = len(np.unique(cuts)) == 1
    return summarise_classification(
        values[:, 0],
        outcome.label[:, 0],
        classes,
        point=point,
        thresholds=None if same else cuts[:, 0],
        **shared,
    )


def _one_point(decisions: Mapping[int, Decision]) -> OperatingPoint:
    points = [decision.points[0] for decision in decisions.values()]
    if len(points) == 1:
        return points[0]
    mean = float(np.mean([point.threshold for point in points]))
    return OperatingPoint(points[0].rule, mean, math.nan, math.nan, 0)
