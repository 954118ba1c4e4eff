"""Marks in volumes at a glance: how many a scan, how wide, and what looks wrong with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from hilum.study.names import counted, listed
from hilum.study.study import NODULE, Case, Finding, Mark, Study
from hilum.study.survey import Facts

# The sizes at which Lung-RADS 2022 changes what is advised for a solid nodule at baseline.
EDGES_MM = (0.0, 6.0, 8.0, 15.0, math.inf)
LEAST_VOXELS = 2.0
_WIDTHS = ("below 6", "6 to 8", "8 to 15", "15 and more")


def mark_summary(study: Study) -> dict[str, Any]:
    """Number of marks, scans with marks, fewest and most a scan, diameters in mm; empty without marks."""
    counts = [len(nodule_marks(case)) for case in study.cases if case.marks is not None]
    wide = sorted(mark.diameter_mm for case in study.cases for mark in nodule_marks(case))
    if not wide:
        return {}
    others = sum(len(case.marks or ()) for case in study.cases) - len(wide)
    numbers = np.histogram(wide, EDGES_MM)[0].tolist()
    return {
        "marks": len(wide),
        "scans": len(counts),
        "scans_with_marks": sum(map(bool, counts)),
        "fewest": min(counts),
        "most": max(counts),
        "diameter_mm": {"smallest": wide[0], "median": float(np.median(wide)), "largest": wide[-1]},
        "by_diameter_mm": dict(zip(_WIDTHS, numbers, strict=True)),
        **({"other_findings": others} if others else {}),
    }


def nodule_marks(case: Case) -> tuple[Mark, ...]:
    """The marks of nodules: tables such as LUNA16's list findings that count for nothing, too."""
    return tuple(mark for mark in case.marks or () if mark.kind == NODULE)


def mark_lines(study: Study) -> list[str]:
    """The marks of a study as plain text; nothing where it has none."""
    found = mark_summary(study)
    if not found:
        return []
    wide = found["diameter_mm"]
    classes = ", ".join(f"{name}: {number:,}" for name, number in found["by_diameter_mm"].items())
    return [
        f"Marks: {found['marks']:,} in {found['scans_with_marks']:,} of {found['scans']:,} volumes, "
        f"{found['fewest']} to {found['most']} each"
        + (f"; {found['other_findings']:,} other findings" if "other_findings" in found else ""),
        f"  diameters {wide['smallest']:.1f} to {wide['largest']:.1f} mm, median {wide['median']:.1f}; "
        f"by mm: {classes}",
    ]


def mark_findings(study: Study, facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """Marks made twice, marks that a scan's voxels are too coarse for, scans that are no Hounsfield units."""
    marked = [case for case in study.cases if nodule_marks(case)]
    twice = tuple(case.name for case in marked if _doubled(case))
    seen = [(case, facts[case.name]) for case in marked if case.name in facts]
    coarse = tuple(case.name for case, fact in seen if _too_coarse(case, fact))
    bright = tuple(case.name for case, fact in seen if fact.low >= 0)
    findings = []
    if twice:
        words = f"two marks lie within one radius in {counted(len(twice), 'volume')}: {listed(twice)}"
        findings.append(Finding("warning", f"{words}. Is one nodule marked twice?", twice))
    if coarse:
        words = f"marks narrower than {LEAST_VOXELS:g} voxels in {counted(len(coarse), 'volume')}"
        findings.append(
            Finding("note", f"{words}: {listed(coarse)}; expect such nodules to be missed", coarse)
        )
    if bright:
        words = f"no value below zero in {counted(len(bright), 'volume')}: {listed(bright)}"
        findings.append(
            Finding(
                "warning",
                f"{words}. These are no Hounsfield units (air is -1000); lost slope and intercept?",
                bright,
            )
        )
    return tuple(findings)


def _doubled(case: Case) -> bool:
    return any(
        math.dist(one.centre, two.centre) < max(one.diameter_mm, two.diameter_mm) / 2
        for one, two in combinations(nodule_marks(case), 2)
    )


def _too_coarse(case: Case, fact: Facts) -> bool:
    if not fact.spacing.known:
        return False
    finest = LEAST_VOXELS * max(fact.spacing.sizes) * (1e-3 if fact.spacing.unit == "um" else 1.0)
    return any(mark.diameter_mm < finest for mark in nodule_marks(case))
