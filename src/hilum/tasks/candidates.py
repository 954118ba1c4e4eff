"""Candidates of one scan: found in its probabilities, judged against its marks, scored in two stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.ct.blobs import find_blobs
from hilum.ct.candidates import Candidate, find_candidates
from hilum.planning.plan import DetectionPlan
from hilum.scoring.detection import distances_mm, hits
from hilum.study.study import Mark
from hilum.tasks.scans import Scan

_EPSILON = 1e-6


@dataclass(frozen=True)
class Status:
    """What a candidate is: `name` hit, double, false or ignored; the `nodule` it hits, and how far off."""

    name: str
    nodule: int | None = None
    distance_mm: float | None = None


def candidates_in(scan: Scan, probability: NDArray[np.floating], plan: DetectionPlan) -> list[Candidate]:
    """The most probable candidates in probabilities (Z', Y', X') from 0 to 1, within the lungs alone.

    Ordered by the mean of a region's peak and mean: peaks alone reach 1 too often to tell regions apart.
    With `plan.blobs`, round dense spots follow that the network did not see, by how round and dense they are.
    """
    found = find_candidates(
        np.where(scan.inside, probability, 0).astype(np.float32),
        scan.grid,
        threshold=plan.threshold,
        merge_mm=plan.merge_mm,
        smallest_mm=plan.smallest_mm,
    )
    scored = [replace(one, probability=(one.peak + one.mean) / 2) for one in found]
    if plan.blobs:
        scored = with_blobs(scored, find_blobs(scan.grid, scan.inside, plan.most), plan.merge_mm)
    return sorted(scored, key=lambda one: -one.probability)[: plan.most]


def with_blobs(found: Sequence[Candidate], blobs: Sequence[Candidate], merge_mm: float) -> list[Candidate]:
    """The candidates found, each at least as probable as a blob on it, and the blobs that lie on none."""
    raised, alone = list(found), []
    for blob in blobs:
        near = [at for at, one in enumerate(raised) if _touch(one, blob, merge_mm)]
        for at in near[:1]:
            raised[at] = replace(raised[at], probability=max(raised[at].probability, blob.probability))
        if not near:
            alone.append(blob)
    return [*raised, *alone]


def _touch(one: Candidate, other: Candidate, merge_mm: float) -> bool:
    reach = max(merge_mm, one.diameter_mm / 2, other.diameter_mm / 2)
    return float(np.linalg.norm(np.subtract(one.centre, other.centre))) <= reach


def combined(first: float, second: float) -> float:
    """One probability of two: the mean of their log odds.

    >>> round(combined(0.5, 0.5), 3), round(combined(0.9, 0.9), 3)
    (0.5, 0.9)
    """
    odds = [np.log((p + _EPSILON) / (1 - p + _EPSILON)) for p in (first, second)]
    return float(1 / (1 + np.exp(-np.mean(odds))))


def status_of(found: Sequence[Candidate], nodules: Sequence[Mark], others: Sequence[Mark]) -> list[Status]:
    """The status of each candidate by the rules of LUNA16 (`hilum.scoring.detection`)."""
    best: dict[int, int] = {}
    near = [_near(one, nodules) for one in found]
    for at in sorted(range(len(found)), key=lambda index: -found[index].probability):
        for nodule in near[at]:
            best.setdefault(nodule, at)
    return [_status(at, near[at], best, one, others) for at, one in enumerate(found)]


def _status(
    at: int, near: dict[int, float], best: dict[int, int], one: Candidate, others: Sequence[Mark]
) -> Status:
    own = [nodule for nodule in near if best[nodule] == at]
    if near:
        nodule = min(own or near, key=lambda number: near[number])
        return Status("hit" if own else "double", nodule, near[nodule])
    return Status("ignored" if hits([one], others).any() else "false")


def _near(one: Candidate, marks: Sequence[Mark]) -> dict[int, float]:
    """Marks the candidate hits, with the distance in mm."""
    away = distances_mm([one], marks)[0]
    return {int(number): float(away[number]) for number in np.flatnonzero(hits([one], marks))}
