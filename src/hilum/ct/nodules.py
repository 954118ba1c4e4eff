"""The table of nodules: size, density, side and distance to the wall of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.candidates import ball_diameter
from hilum.ct.coordinates import left_end, spacing_mm, voxel_to_world
from hilum.ct.lungs import LEFT, RIGHT, Lungs
from hilum.errors import ImageError
from hilum.image.image import Image

_EIGHTEEN = ndimage.generate_binary_structure(3, 2)
_LOOK_MM = 50.0


@dataclass(frozen=True)
class Nodule:
    """One nodule as measured. `wall_mm` is the shortest way from its edge to the lung's surface (pleura).

    `diameter_mm` is that of the ball of the same volume; `side` is "right", "left" or "outside" the lungs.
    """

    number: int
    x_mm: float
    y_mm: float
    z_mm: float
    diameter_mm: float
    volume_mm3: float
    mean_hu: float
    side: str
    wall_mm: float


def measure_nodules(mask: NDArray[np.bool_], image: Image, lungs: Lungs) -> list[Nodule]:
    """Measure each connected part of a nodule mask (Z, Y, X), largest first, on the image's grid.

    Raises ImageError where mask, image and lungs differ in shape.
    """
    if not mask.shape == image.shape == lungs.sides.shape:
        raise ImageError(
            f"{image.path or 'image'}: mask {mask.shape} and lungs {lungs.sides.shape} must have the image's "
            f"shape {image.shape}"
        )
    labels, count = ndimage.label(mask, structure=_EIGHTEEN)
    boxes = ndimage.find_objects(labels, count)
    order = np.argsort(-np.bincount(labels.ravel(), minlength=count + 1)[1:], kind="stable")
    return [
        measure_part(number, labels[boxes[at]] == at + 1, boxes[at], image, lungs)
        for number, at in enumerate(order, start=1)
    ]


def measure_part(
    number: int, part: NDArray[np.bool_], box: tuple[slice, ...], image: Image, lungs: Lungs
) -> Nodule:
    """Measure one nodule given as a mask within `box` (slices along z, y, x) of the image."""
    volume = float(part.sum()) * float(np.prod(spacing_mm(image)))
    places = np.argwhere(part)
    centre = places.mean(axis=0) + [axis.start for axis in box]
    x, y, z = (float(value) for value in voxel_to_world(image, centre))
    hu = float(image.array[0][box][part].mean())
    side = _side(part, box, centre, image, lungs)
    return Nodule(number, x, y, z, ball_diameter(volume), volume, hu, side, _to_wall(part, box, image, lungs))


def _side(
    part: NDArray[np.bool_], box: tuple[slice, ...], centre: NDArray[np.float64], image: Image, lungs: Lungs
) -> str:
    """The lung that holds most of the nodule; by the nearer lung where half of it lies in neither."""
    votes = np.bincount(lungs.sides[box][part], minlength=3)
    if votes[RIGHT] + votes[LEFT] == 0:
        return "outside"
    if votes[RIGHT] == votes[LEFT]:
        return "left" if (centre[2] - image.shape[2] / 2) * left_end(image) > 0 else "right"
    return "right" if votes[RIGHT] > votes[LEFT] else "left"


def _to_wall(part: NDArray[np.bool_], box: tuple[slice, ...], image: Image, lungs: Lungs) -> float:
    """Shortest distance in mm from the nodule's voxels to the outside of the lungs; 0 where it touches."""
    spacing = spacing_mm(image)
    for reach in (_LOOK_MM, np.inf):
        wide = tuple(
            slice(
                int(max(0, axis.start - min(reach / step + 1, size))),
                int(min(size, axis.stop + reach / step + 1)),
            )
            for axis, step, size in zip(box, spacing, image.shape, strict=True)
        )
        inside = lungs.sides[wide] > 0
        if not inside.all():
            break
    if inside.all():
        return float("nan")
    own = np.zeros(inside.shape, bool)
    own[tuple(slice(a.start - w.start, a.stop - w.start) for a, w in zip(box, wide, strict=True))] = part
    # From edge to edge of two voxels: one step less along each axis than from centre to centre.
    clear = ndimage.minimum_filter(inside, 3, mode="nearest")
    return float(ndimage.distance_transform_edt(clear, sampling=spacing)[own].min())
