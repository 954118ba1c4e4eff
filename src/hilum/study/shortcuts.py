"""How well a label can be told without looking at the picture: size, file size, border, mean intensity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hilum.study.names import listed
from hilum.study.study import Finding, Study
from hilum.study.survey import Facts

LIMIT_AUC = 0.8
MEASURES: dict[str, Callable[[Facts], float]] = {
    "image size": lambda facts: float(math.prod(facts.shape)),
    "aspect ratio": lambda facts: facts.shape[-1] / facts.shape[-2],
    "file size": lambda facts: float(facts.size_bytes),
    "number of channels": lambda facts: float(facts.channels),
    "border intensity": lambda facts: facts.border,
    "mean intensity": lambda facts: facts.mean,
}


@dataclass(frozen=True)
class Shortcut:
    """AUC 0 to 1 of one measure for one class against all others; 0.5 says nothing, 0 and 1 say all."""

    measure: str
    label: str
    auc: float

    @property
    def strong(self) -> bool:
        """Whether the label can be told from this measure alone."""
        return self.auc > LIMIT_AUC or self.auc < 1 - LIMIT_AUC


def find_shortcuts(study: Study, facts: Mapping[str, Facts]) -> tuple[Shortcut, ...]:
    """AUC of each measure for each class (of two the last alone), over cases with a known label."""
    from sklearn.metrics import roc_auc_score

    classes = study.classes[-1:] if study.exclusive and len(study.classes) == 2 else study.classes
    found = []
    for label in classes:
        cases = [
            case
            for case in study.cases
            if case.name in facts and case.labels.get(label, math.nan) in (0.0, 1.0)
        ]
        truth = np.array([case.labels[label] for case in cases])
        if len(set(truth.tolist())) < 2:
            continue
        for measure, function in MEASURES.items():
            values = np.array([function(facts[case.name]) for case in cases])
            if np.isfinite(values).all() and np.ptp(values) > 0:
                found.append(Shortcut(measure, label, float(roc_auc_score(truth, values))))
    return tuple(found)


def shortcut_findings(shortcuts: tuple[Shortcut, ...]) -> tuple[Finding, ...]:
    """A warning in capital letters where a measure alone tells a label."""
    strong = [shortcut for shortcut in shortcuts if shortcut.strong]
    if not strong:
        return ()
    names = listed((f"{item.measure} tells {item.label} (AUC {item.auc:.2f})" for item in strong), 12)
    message = (
        f"SHORTCUT: THE LABEL CAN BE TOLD WITHOUT LOOKING AT THE PICTURE: {names}. A classifier may learn "
        "this instead of the disease; bring all images to one size, crop and format before training"
    )
    return (Finding("warning", message),)
