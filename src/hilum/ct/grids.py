"""Parts and resamplings of a volume that still know where they lie in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.coordinates import Box, direction_of, spacing_mm, voxel_to_world, world_to_voxel
from hilum.ct.hounsfield import AIR_HU, clean_array
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing


def box_around(mask: NDArray[np.bool_], margin: Sequence[float]) -> Box:
    """The box (z, y, x) of a mask widened by `margin` voxels along each axis; the whole where it is empty."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found or found[0] is None:
        return (slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2]))
    low = [max(0, int(part.start - np.ceil(more))) for part, more in zip(found[0], margin, strict=True)]
    high = [
        min(size, int(part.stop + np.ceil(more)))
        for part, more, size in zip(found[0], margin, mask.shape, strict=True)
    ]
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))


def regridded(image: Image, box: Box, array: NDArray[Any]) -> Image:
    """`array` (C, Z', Y', X') as a volume that fills `box` of an image: spacing and origin follow.

    >>> scan = Image(np.zeros((1, 4, 8, 8)), Spacing((2.0, 1.0, 1.0), "mm"))
    >>> half = regridded(scan, (slice(1, 3), slice(0, 8), slice(2, 6)), np.zeros((1, 2, 4, 2)))
    >>> half.spacing.sizes, half.geometry.origin
    ((2.0, 2.0, 2.0), (2.5, 0.5, 2.0))
    """
    factors = np.array(
        [(part.stop - part.start) / size for part, size in zip(box, array.shape[1:], strict=True)]
    )
    first = np.array([part.start for part in box]) + (factors - 1) / 2
    x, y, z = (float(value) for value in voxel_to_world(image, first))
    sizes = tuple(float(size) for size in spacing_mm(image) * factors)
    direction = tuple(float(value) for value in direction_of(image).ravel())
    geometry = Geometry((x, y, z), direction)
    return replace(image, array=array, spacing=Spacing(sizes, "mm"), geometry=geometry, palette=None)


def sampled(values: NDArray[np.floating], places: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Values (Z, Y, X) at continuous places along z, y and x: (Z', Y', X'), repeated beyond the rim."""
    spots = np.meshgrid(*places, indexing="ij")
    found = ndimage.map_coordinates(np.asarray(values, np.float32), spots, order=1, mode="nearest")
    return np.asarray(found, np.float32)


def cut_cube(image: Image, centre: Sequence[float], side: int, cube_mm: float) -> NDArray[np.float32]:
    """HU (side, side, side) around a world centre (x, y, z), on voxels of `cube_mm` along the volume's axes.

    Interpolated linearly; beyond the volume is air.
    """
    spacing = spacing_mm(image)
    middle = world_to_voxel(image, centre)
    offsets = (np.arange(side) - (side - 1) / 2) * cube_mm
    places = [at + offsets / step for at, step in zip(middle, spacing, strict=True)]
    low = [max(0, int(np.floor(part[0]))) for part in places]
    high = [
        max(start + 1, min(size, int(np.ceil(part[-1])) + 2))
        for start, part, size in zip(low, places, image.shape, strict=True)
    ]
    start = [min(a, size - 1) for a, size in zip(low, image.shape, strict=True)]
    window = tuple(slice(a, max(a + 1, b)) for a, b in zip(start, high, strict=True))
    part = clean_array(image.array[0][window].astype(np.float32))
    spots = np.meshgrid(*(place - a for place, a in zip(places, start, strict=True)), indexing="ij")
    cube = ndimage.map_coordinates(part, spots, order=1, mode="constant", cval=float(AIR_HU))
    return np.asarray(cube, np.float32)
