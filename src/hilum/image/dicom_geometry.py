"""Where DICOM slices lie: order along their normal, even steps, direction, tilt."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.image import Geometry


def axes_of(header: Any) -> NDArray[np.float64]:
    """Unit vectors (3, 3) along a row, down a column, and normal to the slice, in patient coordinates."""
    along, down = np.asarray(header.ImageOrientationPatient, float).reshape(2, 3)
    return np.stack([along, down, np.cross(along, down)])


def position_of(header: Any) -> float:
    """Place of a slice along its normal in mm; NaN where the header does not say."""
    try:
        return float(np.dot(np.asarray(header.ImagePositionPatient, float), axes_of(header)[2]))
    except (AttributeError, TypeError, ValueError):
        return math.nan


def slice_step(path: Path, places: NDArray[np.float64], thickness: float) -> tuple[float, tuple[str, ...]]:
    """Distance of slices in mm from their rising `places`, and notes on it.

    Raises ImageError naming the places where slices are missing, or where steps differ too much.
    """
    if len(places) == 1:
        return thickness, ("a single slice: its thickness is the spacing",)
    steps = np.diff(places)
    step = float(np.median(steps))
    wide = np.flatnonzero(steps > 1.5 * step)
    if wide.size:
        gaps = ", ".join(f"{places[at]:g} and {places[at + 1]:g}" for at in wide[:5])
        raise ImageError(
            f"{path}: slices are missing between {gaps} mm (others are {step:g} mm apart, {len(places)} "
            "slices found); fetch the series again, or keep the unbroken part in its own folder"
        )
    off = float(np.abs(steps - step).max())
    if off > 0.25 * step:
        raise ImageError(
            f"{path}: slices stand {steps.min():g} to {steps.max():g} mm apart; only even steps make a volume"
        )
    uneven = off > max(0.02, 0.01 * step)
    notes = (f"slice steps differ by up to {off:.3g} mm from {step:g} mm",) if uneven else ()
    return float((places[-1] - places[0]) / (len(places) - 1)), notes


def stack_geometry(first: Any, last: Any) -> tuple[Geometry, tuple[str, ...]]:
    """Origin and direction as ITK has them, with a note where slices shift sideways (gantry tilt)."""
    axes = axes_of(first)
    start, end = (np.asarray(header.ImagePositionPatient, float) for header in (first, last))
    aside = float(np.linalg.norm((end - start) - np.dot(end - start, axes[2]) * axes[2]))
    notes: tuple[str, ...] = ()
    if aside > max(1.0, 0.005 * float(np.linalg.norm(end - start))):
        notes = (f"gantry tilt: the stack shifts {aside:.3g} mm sideways; places in it are rough",)
    direction = tuple(float(value) for value in axes.T.ravel())
    return Geometry((float(start[0]), float(start[1]), float(start[2])), direction), notes
