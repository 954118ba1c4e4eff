"""The trachea and main bronchi, to be cut off the lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.morphology import dilate

_LUMEN_HU = np.arange(-960.0, -840.0, 15.0)
_AREA_MM2 = (60.0, 900.0)
_LARGEST_ML = 110.0
_LEAK = 1.6
_WALL_MM = 2.5
Mask = NDArray[np.bool_]


def find_airways(hu: NDArray[np.float32], inner: Mask, spacing: NDArray[np.float64], head: int) -> Mask:
    """Trachea and main bronchi with their walls (Z, Y, X); empty where no trachea is seen.

    `hu` and `inner` (air in the body) lie on one grid of voxels `spacing` (z, y, x) mm; `head` is +1 where
    the slices go towards the head. Grown from the top with rising thresholds until it would leak.
    """
    seed = find_seed(hu, inner, spacing, head)
    empty = np.zeros(inner.shape, bool)
    if seed is None:
        return empty
    voxel_ml = float(np.prod(spacing)) / 1e3
    best, volume = empty, 0.0
    for threshold in _LUMEN_HU:
        labels, _ = ndimage.label(inner & (hu < threshold))
        if not labels[seed]:
            continue
        grown = labels == labels[seed]
        size = float(grown.sum()) * voxel_ml
        if size > _LARGEST_ML or (volume > 15.0 and size > _LEAK * volume):
            break
        best, volume = grown, size
    if not best.any():
        return empty
    return dilate(best, _WALL_MM, spacing)


def find_seed(
    hu: NDArray[np.float32], inner: Mask, spacing: NDArray[np.float64], head: int
) -> tuple[int, int, int] | None:
    """A voxel (z, y, x) inside the trachea: a round, dark spot near the middle that goes on over slices."""
    depth = min(inner.shape[0], int(np.ceil(90.0 / spacing[0])))
    planes = range(inner.shape[0] - 1, inner.shape[0] - 1 - depth, -1) if head > 0 else range(depth)
    previous: tuple[float, float] | None = None
    for z in planes:
        spot = _spot(hu[z], inner[z], spacing)
        if spot is not None and previous is not None and np.hypot(*(np.subtract(spot, previous))) < 12.0:
            y, x = (round(place / step) for place, step in zip(spot, spacing[1:], strict=True))
            if inner[z, y, x]:
                return z, int(y), int(x)
        previous = spot
    return None


def _spot(hu: NDArray[np.float32], inner: Mask, spacing: NDArray[np.float64]) -> tuple[float, float] | None:
    """Place (y, x) in mm of the roundest fitting air spot of a slice, None where there is none."""
    labels, count = ndimage.label(inner & (hu < -800.0))
    if not count:
        return None
    body = np.nonzero(hu > -300.0)[1]
    middle = float(np.median(body)) * spacing[2] if body.size else hu.shape[1] * spacing[2] / 2
    best: tuple[float, tuple[float, float]] | None = None
    for index in range(1, count + 1):
        rows, columns = np.nonzero(labels == index)
        area = rows.size * float(spacing[1] * spacing[2])
        if not _AREA_MM2[0] <= area <= _AREA_MM2[1]:
            continue
        centre = (float(rows.mean()) * float(spacing[1]), float(columns.mean()) * float(spacing[2]))
        reach = np.hypot(rows * spacing[1] - centre[0], columns * spacing[2] - centre[1]).max()
        roundness = area / (np.pi * max(float(reach), 1.0) ** 2)
        aside = abs(centre[1] - middle)
        if roundness > 0.35 and aside < 45.0 and (best is None or aside - 20 * roundness < best[0]):
            best = (aside - 20 * float(roundness), centre)
    return None if best is None else best[1]
