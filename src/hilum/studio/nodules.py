"""Nodules of a scan as a list: marks of the study, findings of the model, what a person said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import HilumError
from hilum.files import write_rows
from hilum.image.image import Image
from hilum.studio.rounds import table
from hilum.studio.view import View, case_of
from hilum.training.run import Run

DECISIONS = "nodule-decisions.csv"
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "decision")
_SAME_MM = 0.01
_SHOWN = 30


def nodules_of(view: View, run: Run | None, name: str, image: Callable[[str], Image]) -> list[dict[str, Any]]:
    """Nodules of a scan, findings by probability, then true ones; places in mm and in voxels."""
    found = [*_candidates(run, name), *_marks(view, name)]
    taken = read_decisions(view.root)
    pixels = image(name)
    return [
        {
            **one,
            **_voxels(pixels, one["centre"], one["diameter"]),
            "decision": _decision(taken, name, one["centre"]),
        }
        for one in found
    ]


def _candidates(run: Run | None, name: str) -> list[dict[str, Any]]:
    if run is None:
        return []
    rows = [row for row in table(run.evaluation / "candidates.csv") if row["seriesuid"] == name]
    rows.sort(key=lambda row: -float(row["probability"]))
    return [
        {
            "centre": [float(row[key]) for key in ("coordX", "coordY", "coordZ")],
            "diameter": float(row["diameter_mm"] or 0),
            "truth": False,
            "words": f"{float(row['diameter_mm'] or 0):.1f} mm, {float(row['probability']):.0%} sure"
            + (f" ({row['status']})" if row["status"] else ""),
        }
        for row in rows[:_SHOWN]
    ]


def _marks(view: View, name: str) -> list[dict[str, Any]]:
    marks = case_of(view, name).marks or ()
    return [
        {
            "centre": list(mark.centre),
            "diameter": mark.diameter_mm,
            "truth": True,
            "words": f"{mark.diameter_mm:.1f} mm, annotated",
        }
        for mark in marks
        if mark.kind == "nodule"
    ]


def _voxels(image: Image, centre: Sequence[float], diameter: float) -> dict[str, Any]:
    """Place (z, y, x) in voxels and radius along each axis in voxels."""
    from hilum.ct.coordinates import world_to_voxel

    voxel = [float(value) for value in world_to_voxel(image, centre)]
    radius = [diameter / 2 / size for size in image.spacing.sizes]
    return {"voxel": voxel, "radius": radius, "index": int(np.clip(round(voxel[0]), 0, image.shape[0] - 1))}


def read_decisions(root: Path) -> list[dict[str, str]]:
    """What was accepted and rejected so far: rows of nodule-decisions.csv in the study's folder."""
    return [row for row in table(root / DECISIONS) if row.get("decision") in ("accepted", "rejected")]


def decide(view: View, name: str, centre: Sequence[float], diameter: float, decision: str) -> None:
    """Accept or reject a nodule at a place (x, y, z) in mm, or take that back ("").

    Written to nodule-decisions.csv, whole or not at all: accepted rows have the form of annotations.csv.
    """
    if decision not in ("accepted", "rejected", ""):
        raise HilumError(f"{decision!r}: a nodule is accepted or rejected")
    case_of(view, name)
    rows = [row for row in read_decisions(view.root) if not _is(row, name, centre)]
    if decision:
        places = [f"{value:.4f}" for value in centre]
        rows.append(dict(zip(COLUMNS, (name, *places, f"{diameter:.4f}", decision), strict=True)))
    write_rows(view.root / DECISIONS, rows, COLUMNS)


def _decision(rows: Sequence[dict[str, str]], name: str, centre: Sequence[float]) -> str:
    return next((row["decision"] for row in rows if _is(row, name, centre)), "")


def _is(row: dict[str, str], name: str, centre: Sequence[float]) -> bool:
    places = [float(row[key]) for key in ("coordX", "coordY", "coordZ")]
    return row["seriesuid"] == name and bool(np.allclose(places, centre, atol=_SAME_MM))
