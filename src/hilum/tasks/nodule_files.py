"""What a detector writes: candidates, nodules, scans, the summary, masks and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.ct.candidates import Candidate
from hilum.ct.lungs import Lungs
from hilum.ct.nodules import Nodule, measure_part
from hilum.ct.pictures import montage, three_planes
from hilum.files import whole_file
from hilum.image.image import Image
from hilum.image.volume import write_volume
from hilum.scoring.detection import RATES, Froc, distances_mm, hits, summarise_detection
from hilum.study.marked import nodule_marks
from hilum.tasks.candidates import Status, status_of
from hilum.tasks.findings import Findings, at_threshold
from hilum.tasks.nodule_masks import Part, ball_part
from hilum.tasks.scans import other_marks

Row = dict[str, Any]
CANDIDATE_COLUMNS = (
    *("seriesuid", "fold", "coordX", "coordY", "coordZ", "diameter_mm", "probability", "peak_probability"),
    *("mean_probability", "volume_mm3", "first_probability", "status", "nodule", "distance_mm"),
)
NODULE_COLUMNS = (
    *("seriesuid", "fold", "nodule", "coordX", "coordY", "coordZ", "diameter_mm", "found", "probability"),
    *("distance_mm", "volume_mm3", "mean_hu", "side", "wall_mm"),
)
FOUND_COLUMNS = (
    *("seriesuid", "nodule", "coordX", "coordY", "coordZ", "diameter_mm", "volume_mm3", "mean_hu", "side"),
    *("wall_mm", "probability"),
)
CASE_COLUMNS = (
    *("case", "group", "fold", "threshold", "nodules", "found", "false_positives", "candidates", "lungs_l"),
    *("lung_warnings", "dice"),
)
_PICTURED = 12
DIGITS = 6


def statuses(found: Findings, second: bool) -> list[tuple[Candidate, float, Status]]:
    """Candidates of one scan with first probability and status, most probable first."""
    ordered = found.ordered(second)
    states = status_of([one for one, _ in ordered], nodule_marks(found.case), other_marks(found.case))
    return [(one, first, state) for (one, first), state in zip(ordered, states, strict=True)]


def candidate_rows(found: Findings, judged: Sequence[tuple[Candidate, float, Status]]) -> list[Row]:
    """Rows of candidates.csv of one scan."""
    return [
        {
            "seriesuid": found.case.name,
            "fold": found.fold,
            **_place(one.centre),
            "diameter_mm": one.diameter_mm,
            "probability": one.probability,
            "peak_probability": one.peak,
            "mean_probability": one.mean,
            "volume_mm3": one.volume_mm3,
            "first_probability": first,
            "status": state.name,
            "nodule": state.nodule,
            "distance_mm": state.distance_mm,
        }
        for one, first, state in judged
    ]


def nodule_rows(
    found: Findings,
    judged: Sequence[tuple[Candidate, float, Status]],
    threshold: float,
    image: Image,
    lungs: Lungs,
) -> list[Row]:
    """Rows of nodules.csv of one scan: each true mark, measured, and what hit it."""
    rows = []
    for number, mark in enumerate(nodule_marks(found.case)):
        best = next((one for one in judged if one[2].name == "hit" and hits([one[0]], [mark])), None)
        part = ball_part(image, mark)
        seen = measure_part(number, part.mask, part.box, image, lungs)
        probability = best[0].probability if best else None
        rows.append(
            {
                "seriesuid": found.case.name,
                "fold": found.fold,
                "nodule": number,
                **_place(mark.centre),
                "diameter_mm": mark.diameter_mm,
                "found": int(probability is not None and probability >= threshold),
                "probability": probability,
                "distance_mm": float(distances_mm([best[0]], [mark])[0, 0]) if best else None,
                **{key: getattr(seen, key) for key in ("volume_mm3", "mean_hu", "side", "wall_mm")},
            }
        )
    return rows


def found_rows(
    case: str, chosen: Sequence[tuple[Candidate, Part]], image: Image, lungs: Lungs
) -> tuple[list[Row], list[Nodule]]:
    """Rows of the predicted nodules of one scan, measured on their masks."""
    measured = [
        measure_part(number, part.mask, part.box, image, lungs)
        for number, (_, part) in enumerate(chosen, start=1)
    ]
    rows = [
        {
            "seriesuid": case,
            "nodule": seen.number,
            **_place((seen.x_mm, seen.y_mm, seen.z_mm)),
            **{
                key: getattr(seen, key) for key in ("diameter_mm", "volume_mm3", "mean_hu", "side", "wall_mm")
            },
            "probability": one.probability,
        }
        for seen, (one, _) in zip(measured, chosen, strict=True)
    ]
    return rows, measured


def case_row(
    found: Findings,
    judged: Sequence[tuple[Candidate, float, Status]],
    threshold: float,
    lungs: Lungs,
    dice: float,
) -> Row:
    """The row of one scan in cases.csv."""
    above = [(one, state) for one, _, state in judged if one.probability >= threshold]
    found_by = [one for one, state in above if state.name == "hit"]
    marks = nodule_marks(found.case)
    return {
        "case": found.case.name,
        "group": found.case.group,
        "fold": found.fold,
        "threshold": threshold,
        "nodules": len(marks),
        "found": int(hits(found_by, marks).any(axis=0).sum()),
        "false_positives": sum(state.name == "false" for _, state in above),
        "candidates": len(judged),
        "lungs_l": round(lungs.volume_l, 3),
        "lung_warnings": "; ".join(lungs.warnings),
        "dice": dice,
    }


def detection_summary(
    final: Froc,
    first: Froc,
    threshold: Mapping[str, float],
    dice: Mapping[str, float],
    samples: int,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """summary.json of a detector: what `summarise_detection` says, the first stage, the operating point.

    `threshold` is the one of each scan: that of its fold; `groups` that of each scan.
    """
    rate, sensitivity = at_threshold(final, threshold)
    return {
        **summarise_detection(final, samples, seed, groups),
        "first_stage": {"cpm": first.cpm, "sensitivity": [first.sensitivity_at(at) for at in RATES]},
        "operating_point": {
            "threshold": float(np.mean(list(threshold.values()))),
            "lowest": min(threshold.values()),
            "highest": max(threshold.values()),
            "false_positives_a_scan": rate,
            "sensitivity": sensitivity,
        },
        "dice": dict(dice),
        "targets": {},
    }


def write_nodule_mask(out: Path, target: str, case: str, image: Image, mask: NDArray[np.bool_]) -> None:
    """A mask volume on the input's grid, with its place in the world."""
    write_volume(out / "masks" / target / f"{case}.nii.gz", image.with_array(mask[None].astype(np.uint8)))


def write_lungs(out: Path, case: str, image: Image, lungs: Lungs) -> None:
    """The lungs on the input's grid: 1 right, 2 left."""
    write_volume(out / "lungs" / f"{case}.nii.gz", image.with_array(lungs.sides[None]))


def write_picture(
    out: Path, case: str, image: Image, mask: NDArray[np.bool_], nodules: Sequence[Nodule]
) -> None:
    """The largest found nodules in three planes with their outline; nothing where none was found."""
    from PIL import Image as Pillow

    if not nodules:
        return
    shown = sorted(nodules, key=lambda one: -one.diameter_mm)[:_PICTURED]
    rows = [
        picture
        for one in shown
        for picture in three_planes(image, (one.x_mm, one.y_mm, one.z_mm), [(mask, (255, 210, 0))])
    ]
    with whole_file(out / "overlays" / f"{case}.jpg") as beside:
        Pillow.fromarray(montage(rows, columns=3)).save(beside, quality=90)


def _place(centre: Sequence[float]) -> Row:
    return {f"coord{axis}": round(float(at), 4) for axis, at in zip("XYZ", centre, strict=True)}
