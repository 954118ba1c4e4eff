"""What was found in each scan, judged in two stages, and what it is worth by the challenge's score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hilum.ct.candidates import Candidate
from hilum.image.image import Image
from hilum.planning.plan import DetectionPlan, Plan
from hilum.scoring.detection import Candidate as Scored
from hilum.scoring.detection import Froc, Nodule, froc
from hilum.study.marked import nodule_marks
from hilum.study.study import Case
from hilum.tasks.candidates import candidates_in, combined
from hilum.tasks.scans import Scan, other_marks
from hilum.tasks.second_stage import judged


@dataclass(frozen=True)
class Findings:
    """Candidates of one scan as the first stage orders them; `second` is the other probability, if any."""

    case: Case
    fold: int | None
    candidates: tuple[Candidate, ...]
    second: tuple[float, ...] | None = None

    def ordered(self, use_second: bool) -> list[tuple[Candidate, float]]:
        """Candidates with their final probability, most probable first, each with that of the first stage."""
        pairs = [(one, one.probability) for one in self.candidates]
        if use_second and self.second is not None:
            pairs = [
                (replace(one, probability=combined(first, second)), first)
                for (one, first), second in zip(pairs, self.second, strict=True)
            ]
        return sorted(pairs, key=lambda pair: -pair[0].probability)


def findings_in(
    case: Case,
    fold: int | None,
    image: Image,
    scan: Scan,
    probability: NDArray[np.floating],
    networks: Sequence[nn.Module],
    plan: Plan,
) -> Findings:
    """The candidates of one scan, looked at by the second classifiers where there are any."""
    found = tuple(candidates_in(scan, probability, plan.detection))
    second = tuple(judged(networks, image, found, plan).tolist()) if networks else None
    return Findings(case, fold, found, second)


def scored(found: Sequence[Findings], second: Mapping[int | None, bool]) -> Froc:
    """FROC of all scans; `second` says for each fold whether the second classifier counts."""
    candidates = [
        Scored(one.case.name, candidate.centre, candidate.probability)
        for one in found
        for candidate, _ in one.ordered(second.get(one.fold, False))
    ]
    nodules = [
        Nodule(one.case.name, mark.centre, mark.diameter_mm)
        for one in found
        for mark in nodule_marks(one.case)
    ]
    excluded = [
        Nodule(one.case.name, mark.centre, mark.diameter_mm)
        for one in found
        for mark in other_marks(one.case)
    ]
    return froc(candidates, nodules, scans=[one.case.name for one in found], exclusions=excluded)


def second_pays(found: Sequence[Findings], plan: DetectionPlan) -> bool:
    """Whether the second classifier is to be used, as these scans tell; yes where they cannot tell.

    It is used unless the CPM is lower with it.
    """
    if plan.second != "fit":
        return plan.second == "always"
    having = [one for one in found if one.second is not None]
    if not any(nodule_marks(one.case) for one in having):
        return True
    folds = {one.fold for one in having}
    return scored(having, dict.fromkeys(folds, True)).cpm >= scored(having, dict.fromkeys(folds, False)).cpm


def second_by_fold(found: Sequence[Findings], plan: DetectionPlan) -> dict[int | None, bool]:
    """For each fold whether the second classifier counts there, decided on the scans of the other folds."""
    return {
        fold: second_pays([one for one in found if one.fold != fold], plan)
        for fold in sorted({one.fold for one in found}, key=lambda fold: -1 if fold is None else fold)
    }


def operating_threshold(result: Froc, false_positives: float) -> float:
    """The lowest probability at which there are at most so many false positives a scan; 0.5 without any.

    Just above all candidates where the most probable of them is one too many already. Cut to six decimals,
    which the tables have: what is at the threshold there is at it here.
    """
    known = np.isfinite(result.thresholds)
    fitting = result.thresholds[(result.rates <= false_positives) & known]
    if fitting.size:
        return math.floor(float(fitting.min()) * 1e6) / 1e6
    return math.ceil(float(result.thresholds[known].max()) * 1e6 + 1) / 1e6 if known.any() else 0.5


def threshold_by_fold(
    found: Sequence[Findings], second: Mapping[int | None, bool], plan: DetectionPlan
) -> dict[int | None, float]:
    """For each fold the operating threshold of the scans of the other folds; of one fold alone its own."""
    chosen: dict[int | None, float] = {}
    for fold, used in second.items():
        others = [one for one in found if one.fold != fold] or found
        result = scored(others, dict.fromkeys({one.fold for one in others}, used))
        chosen[fold] = operating_threshold(result, plan.false_positives)
    return chosen


def at_threshold(result: Froc, threshold: Mapping[str, float]) -> tuple[float, float]:
    """False positives a scan and sensitivity, each scan at its own threshold."""
    candidates = [hit.candidate for hit in result.hits if hit.candidate]
    hits = [one for one in candidates if one.probability >= threshold[one.scan]]
    false = [one for one in result.false_positives if one.probability >= threshold[one.scan]]
    sensitivity = len(hits) / len(result.hits) if result.hits else math.nan
    return len(false) / max(1, len(result.scans)), sensitivity
