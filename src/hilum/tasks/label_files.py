"""What a classifier writes: one table row an image, and the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        call = called(values, decision, plan)[0]
        row: dict[str, Any] = {"file": file_of(case, root), "case": case.name, "group": case.group}
        if outcome.fold[index] >= 0:
            row["fold"] = int(outcome.fold[index])
        row["class"] = called_name(call, classes)
        row |= {f"probability_{n}": round(float(p), 6) for n, p in _named(by_class(raw, plan)[0], classes)}
        row |= {f"calibrated_{n}": round(float(p), 6) for n, p in _named(by_class(values, plan)[0], classes)}
        if len(decision.points) == 1:
            row["threshold"] = decision.points[0].threshold
        row |= _judged(call, outcome.label[index], plan, classes)
        rows.append(row)
    return rows


def _named(values: Floats, classes: Sequence[str]) -> list[tuple[str, float]]:
    names = classes[-len(values) :]
    return list(zip(names, values.tolist(), strict=True))


def called_name(call: NDArray[np.bool_], classes: Sequence[str]) -> str:
    """The called class; of several labels all that are called, joined by |."""
    if len(call) == 1:
        return classes[int(call[0])]
    return "|".join(name for name, found in zip(classes, call, strict=True) if found) or NONE


def _judged(call: NDArray[np.bool_], label: Floats, plan: Plan, classes: Sequence[str]) -> dict[str, Any]:
    """The true label in the same words and whether the call is correct; nothing where no label is known.

    Where an image has or has not each of several labels, each is stated as called and true (1, 0, or
    nothing where unknown), and the call is correct where all that are known are.
    """
    known = ~np.isnan(label)
    several = len(call) > 1 and not is_exclusive(plan)
    stated: dict[str, Any] = {}
    if several:
        truth = [int(value) if there else None for value, there in zip(label, known, strict=True)]
        stated |= {f"called_{name}": int(one) for name, one in zip(classes, call, strict=True)}
        stated |= {f"label_{name}": one for name, one in zip(classes, truth, strict=True)}
    if not (known.any() if several else known.all()):
        return stated
    words = called_name(label > 0.5, classes)
    doubt = [f"{name}?" for name, there in zip(classes, known, strict=False) if not there]
    words = "|".join([*([] if words == NONE and doubt else [words]), *doubt])
    right = (call == (label > 0.5)) | ~known
    return stated | {"label": words, "correct": bool(right.all())}


def true_classes(row: Mapping[str, Any], classes: Sequence[str]) -> dict[str, bool]:
    """Whether the image of a row of cases.csv has each class by its label; unknown ones are left out."""
    return _stated(row, "label", row.get("label"), classes)


def called_classes(row: Mapping[str, Any], classes: Sequence[str]) -> dict[str, bool]:
    """Whether each class was called in a row of cases.csv or predictions.csv."""
    return _stated(row, "called", row.get("class"), classes)


def _stated(row: Mapping[str, Any], kind: str, name: Any, classes: Sequence[str]) -> dict[str, bool]:
    """Columns of 1, 0 or nothing where a row has them for each class, else the one class it names."""
    if all(f"{kind}_{one}" in row for one in classes):
        cells = {one: str(row[f"{kind}_{one}"]) for one in classes}
        return {one: float(cell) > 0.5 for one, cell in cells.items() if cell not in ("", "nan", "None")}
    return {one: one == name for one in classes} if isinstance(name, str) and name else {}


def file_of(case: Case, root: Path) -> str:
    """The image's file below `root`, inside an archive with its place."""
    path, root = case.image.path.absolute(), root.absolute()
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    inside = "".join(f"[{part}]" for part in (case.image.entry, case.image.index) if part is not None)
    return shown + inside


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
        rules = [point.rule for point in next(iter(decisions.values())).points]
        return summarise_classification(
            values, outcome.label, classes, exclusive=False, thresholds=cuts, rules=rules, **shared
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
