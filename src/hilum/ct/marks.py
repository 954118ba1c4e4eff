"""Nodule masks from marks: balls in the world, the classic three slices, or fitted to the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.coordinates import Box, ball_box, inside, spacing_mm, voxel_to_world, world_to_voxel
from hilum.ct.hounsfield import clean_array
from hilum.errors import StudyError
from hilum.image.image import Image
from hilum.study.study import Mark

Mask = NDArray[np.bool_]
# Bone and contrast would pull the threshold up; a nodule is told from lung below this.
_BRIGHTEST_HU = 200.0
_CONTRAST_HU = 150.0


def check_marks(image: Image, marks: Sequence[Mark], seriesuid: str = "") -> None:
    """Raise StudyError naming the scan and the coordinates of marks that lie outside it or have no size."""
    name = seriesuid or (image.path.stem if image.path else "image")
    for mark in marks:
        if not (np.isfinite([*mark.centre, mark.diameter_mm]).all() and mark.diameter_mm > 0):
            raise StudyError(f"{name}: mark {_said(mark)} needs finite coordinates and a diameter above zero")
    outside = [mark for mark in marks if not inside(image, mark.centre)]
    if outside:
        corners = voxel_to_world(image, np.array([np.zeros(3), np.asarray(image.shape) - 1.0]))
        low, high = corners.min(axis=0), corners.max(axis=0)
        reach = ", ".join(f"{axis} {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True))
        raise StudyError(
            f"{name}: {len(outside)} of {len(marks)} marks lie outside the scan, the first at "
            f"{_said(outside[0])}; the scan reaches over {reach} mm. "
            "Are the coordinates in voxels, or of another series?"
        )


def ball_mask(image: Image, marks: Sequence[Mark], *, seriesuid: str = "") -> Mask:
    """Balls (Z, Y, X) of each mark's diameter around its centre, in world millimetres.

    The voxel at the centre is always in. Raises StudyError where a mark lies outside the scan.
    """
    mask = np.zeros(image.shape, bool)
    check_marks(image, marks, seriesuid)
    for box, ball in _balls(image, marks):
        mask[box] |= ball
    return mask


def slices_mask(image: Image, marks: Sequence[Mark], *, slices: int = 3, seriesuid: str = "") -> Mask:
    """The classic recipe: each ball's section in the `slices` slices around its centre, nothing elsewhere."""
    mask = np.zeros(image.shape, bool)
    check_marks(image, marks, seriesuid)
    for mark, (box, ball) in zip(marks, _balls(image, marks), strict=True):
        centre = int(np.clip(np.rint(world_to_voxel(image, mark.centre)[0]), 0, image.shape[0] - 1))
        planes = np.arange(box[0].start, box[0].stop)
        mask[box] |= ball & (np.abs(planes - centre) <= slices // 2)[:, None, None]
    return mask


def adaptive_mask(image: Image, marks: Sequence[Mark], *, seriesuid: str = "") -> Mask:
    """Balls fitted to the image: the part that is denser than its surroundings and joined to the centre.

    The threshold lies half way between the median of the ball's core and the lower quarter of the shell
    around it. Where core and shell differ by less than 150 HU the whole ball is kept.
    """
    mask = np.zeros(image.shape, bool)
    check_marks(image, marks, seriesuid)
    for mark, (box, ball) in zip(marks, _balls(image, marks), strict=True):
        mask[box] |= _fitted(image, mark, box, ball)
    return mask


def _fitted(image: Image, mark: Mark, box: Box, ball: Mask) -> Mask:
    radius = mark.diameter_mm / 2
    wide = ball_box(image, mark.centre, 2 * (radius + float(spacing_mm(image).max())), margin=1)
    away = _distance(image, mark, wide)
    hu = np.minimum(clean_array(image.array[0][wide]).astype(np.float32), _BRIGHTEST_HU)
    core = hu[away <= max(radius / 2, float(away.min()))]
    shell = hu[(away > radius) & (away <= 2 * radius + float(spacing_mm(image).max()))]
    if not shell.size:
        return ball
    dense, thin = float(np.median(core)), float(np.percentile(shell, 25))
    if dense - thin < _CONTRAST_HU:
        return ball
    inner = np.minimum(clean_array(image.array[0][box]).astype(np.float32), _BRIGHTEST_HU)
    solid = ball & (inner > (dense + thin) / 2)
    labels, _ = ndimage.label(solid)
    near = np.where(solid, _distance(image, mark, box), np.inf)
    at = np.unravel_index(int(near.argmin()), near.shape)
    if not solid.any() or near[at] > radius / 2 + float(spacing_mm(image).max()):
        return ball
    return np.asarray(ndimage.binary_fill_holes(labels == labels[at])) & ball


def _balls(image: Image, marks: Sequence[Mark]) -> Iterator[tuple[Box, Mask]]:
    for mark in marks:
        box = ball_box(image, mark.centre, mark.diameter_mm / 2, margin=1)
        away = _distance(image, mark, box)
        yield box, away <= max(mark.diameter_mm / 2, float(away.min()))


def _distance(image: Image, mark: Mark, box: Box) -> NDArray[np.float64]:
    """Distance in mm of each voxel of a box to the mark's centre."""
    centre = world_to_voxel(image, mark.centre)
    axes = [
        (np.arange(part.start, part.stop) - place) * step
        for part, place, step in zip(box, centre, spacing_mm(image), strict=True)
    ]
    squares = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    return np.asarray(np.sqrt(squares))


def _said(mark: Mark) -> str:
    return f"({', '.join(f'{place:g}' for place in mark.centre)}) mm, diameter {mark.diameter_mm:g} mm"
