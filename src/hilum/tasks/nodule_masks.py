"""The voxels that belong to a candidate, on the scan's own grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.candidates import Candidate
from hilum.ct.coordinates import Box, ball_box, world_to_voxel
from hilum.ct.grids import sampled
from hilum.ct.marks import adaptive_mask, ball_mask
from hilum.image.image import Image
from hilum.study.study import Mark
from hilum.tasks.scans import Scan

_LEAST_REACH_MM = 8.0


@dataclass(frozen=True, eq=False)
class Part:
    """A small mask within a box (slices along z, y, x) of a scan."""

    box: Box
    mask: NDArray[np.bool_]


def part_of(
    one: Candidate,
    probability: NDArray[np.floating],
    scan: Scan,
    image: Image,
    share: float,
    weakest: float = 0.0,
) -> Part:
    """The connected voxels of the image around a candidate above `share` of the peak probability there.

    `probability` (Z', Y', X') lies on the working grid. Where it stays below `weakest` the network saw
    nothing, and the dense part of a ball of the candidate's size is taken. Never empty: the voxel at the
    centre is always in.
    """
    middle = world_to_voxel(image, one.centre)
    box = ball_box(image, one.centre, max(one.diameter_mm, _LEAST_REACH_MM))
    places = [
        _working(part, whole, n) for part, whole, n in zip(box, scan.box, probability.shape, strict=True)
    ]
    values = sampled(probability, places)
    low, high = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
    centre = tuple(np.clip(np.rint(middle).astype(int), low, high - 1) - low)
    if float(values[tuple(slice(max(0, at - 1), at + 2) for at in centre)].max()) < weakest:
        return Part(box, adaptive_mask(image, [Mark(one.centre, one.diameter_mm)])[box])
    return Part(box, _around(values, centre, share))


def _working(part: slice, whole: slice, size: int) -> NDArray[np.float64]:
    """Places on the working grid of the image's voxels in `part`, where `whole` is what the grid covers."""
    factor = (whole.stop - whole.start) / size
    return np.asarray((np.arange(part.start, part.stop) - whole.start + 0.5) / factor - 0.5, np.float64)


def _around(values: NDArray[np.float32], centre: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    near = tuple(slice(max(0, at - 1), at + 2) for at in centre)
    solid = values > share * float(values[near].max())
    labels, _ = ndimage.label(solid, structure=np.ones((3, 3, 3)))
    label = int(labels[near].max())
    mask = np.asarray(labels == label) if label else np.zeros(values.shape, bool)
    mask[centre] = True
    return mask


def ball_part(image: Image, mark: Mark) -> Part:
    """A mark's ball as a part of the scan."""
    box = ball_box(image, mark.centre, mark.diameter_mm / 2, margin=2)
    return Part(box, ball_mask(image, [mark])[box])


def joined(shape: tuple[int, ...], parts: Iterable[Part]) -> NDArray[np.bool_]:
    """One mask (Z, Y, X) of all parts."""
    mask = np.zeros(shape, bool)
    for part in parts:
        mask[part.box] |= part.mask
    return mask
