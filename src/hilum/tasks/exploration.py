"""A labelled study as a person would look at it before training: classes, shapes, splits, shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from hilum.planning.fingerprint import spread
from hilum.study.inspection import ClassRow, imbalance_findings, inspect_study
from hilum.study.shortcuts import shortcut_findings
from hilum.study.study import Study
from hilum.study.survey import Facts, survey_study

LOOKED_AT = 2000


def explore(study: Study) -> dict[str, Any]:
    """Images by class, their shapes, intensities by split, and how well the label is told without looking.

    At most 2,000 images, evenly spread, are decoded.
    """
    looked = replace(study, cases=tuple(spread(study.cases, LOOKED_AT)))
    survey = survey_study(looked)
    found = inspect_study(looked, survey)
    return {
        "cases": len(study.cases),
        "looked_at": len(looked.cases),
        "classes": [_class(study, row) for row in found.classes],
        "splits": _splits(looked, survey.facts),
        "shortcuts": [asdict(item) | {"strong": item.strong} for item in found.shortcuts],
        "warnings": [finding.message for finding in shortcut_findings(found.shortcuts)],
        "notes": [finding.message for finding in imbalance_findings(looked)],
    }


def _class(study: Study, row: ClassRow) -> dict[str, Any]:
    images = sum(case.labels.get(row.name) == 1.0 for case in study.cases)
    shapes = {
        key: " x ".join(map(str, reversed(getattr(row, key)))) for key in ("smallest", "largest", "mean")
    }
    return {"class": row.name, "images": images, "share": images / max(1, len(study.cases)), **shapes}


def _splits(study: Study, facts: dict[str, Facts]) -> list[dict[str, Any]]:
    """How the images of given splits differ: share of each class, mean intensity and contrast."""
    names = sorted({case.split for case in study.cases if case.split})
    return [_split(study, name, facts) for name in names] if len(names) > 1 else []


def _split(study: Study, name: str, facts: dict[str, Facts]) -> dict[str, Any]:
    cases = [case for case in study.cases if case.split == name and case.name in facts]
    seen = [facts[case.name] for case in cases]
    shares = {label: _mean([case.labels.get(label, 0.0) == 1.0 for case in cases]) for label in study.classes}
    contrast = [float(fact.thumbnail.std()) for fact in seen]
    return {
        "split": name,
        "looked_at": len(cases),
        **{f"Share of {label}": share for label, share in shares.items()},
        "mean_intensity": _mean([fact.mean for fact in seen]),
        "contrast": _mean(contrast),
    }


def _mean(values: Sequence[float | bool]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
