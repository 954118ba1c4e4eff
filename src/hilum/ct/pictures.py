"""Pictures of a scan for the report: cuts in three planes with outlines, and lungs at a glance.

Seen as radiologists do: the patient's right on the left, head and front up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.coordinates import direction_of, spacing_mm, world_to_voxel
from hilum.ct.hounsfield import WINDOWS, windowed
from hilum.ct.lungs import LEFT, RIGHT, Lungs
from hilum.image.image import Image

PLANES = ("axial", "coronal", "sagittal")
GREEN, YELLOW, RED, BLUE = (60, 220, 90), (255, 210, 40), (255, 110, 100), (90, 160, 255)
_DASH = 3
RGB = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def three_planes(
    image: Image,
    centre: tuple[float, float, float],
    outlines: Sequence[tuple[Mask, tuple[int, int, int]]] = (),
    *,
    size_mm: float | None = 60.0,
    pixels: int = 256,
    limits: tuple[float, float] | None = None,
) -> tuple[RGB, RGB, RGB]:
    """Axial, coronal and sagittal cut (pixels, pixels, 3) uint8 through a world point (x, y, z) in mm.

    Each shows `size_mm` squared around the point, true in scale, or all of the scan where it is None.
    `outlines` are masks (Z, Y, X) with the colour of their edge: the first is a line, further ones are
    dashed. Beyond the scan is black.
    """
    at = world_to_voxel(image, centre)
    reach = size_mm if size_mm is not None else float((spacing_mm(image) * image.shape).max())
    middle = at if size_mm is not None else (np.asarray(image.shape) - 1) / 2
    cuts = [
        _cut(image, plane, at, middle, reach, pixels, outlines, limits or WINDOWS["lung"])
        for plane in range(3)
    ]
    return cuts[0], cuts[1], cuts[2]


def outlined(picture: RGB, mask: Mask, colour: tuple[int, int, int], *, width: int = 1, dash: int = 0) -> RGB:
    """The picture (Y, X, 3) with a line `width` pixels wide along the outside of a mask (Y, X).

    With `dash` the line has gaps of so many pixels, so that one drawn before it stays to be seen.
    """
    line = ndimage.binary_dilation(mask, iterations=width) & ~mask
    if dash:
        diagonal = np.arange(mask.shape[0])[:, None] + np.arange(mask.shape[1])
        line &= diagonal // dash % 2 == 0
    drawn = picture.copy()
    drawn[line] = colour
    return drawn


def tinted(picture: RGB, mask: Mask, colour: tuple[int, int, int], share: float = 0.35) -> RGB:
    """The picture (Y, X, 3) with a mask (Y, X) tinted: `share` of the colour, the rest stays."""
    drawn = picture.astype(np.float32)
    drawn[mask] = (1 - share) * drawn[mask] + share * np.asarray(colour, np.float32)
    return drawn.astype(np.uint8)


def lung_montage(image: Image, lungs: Lungs, *, count: int = 8, columns: int = 4, pixels: int = 256) -> RGB:
    """Lungs tinted (right red, left blue) as one picture (Y, X, 3) uint8.

    `count` even axial slices from the foot of the lungs to their top, then coronal and sagittal ones.
    """
    found = np.argwhere(lungs.mask[:, ::4, ::4])
    low, high = (
        (found.min(axis=0), found.max(axis=0)) if found.size else (np.zeros(3), np.asarray(image.shape) - 1)
    )
    scale = np.array([1, 4, 4])
    low, high = low * scale, high * scale
    sides = [(lungs.sides == side, colour) for side, colour in ((RIGHT, RED), (LEFT, BLUE))]
    reach = float((spacing_mm(image) * image.shape).max())
    middle = (np.asarray(image.shape) - 1) / 2
    tiles = []
    for plane, number in ((0, count), (1, columns - columns // 2), (2, columns // 2)):
        for share in (np.arange(number) + 0.5) / number:
            at = middle.copy()
            at[plane] = low[plane] + share * (high[plane] - low[plane])
            tiles.append(_cut(image, plane, at, middle, reach, pixels, sides, WINDOWS["lung"], tint=True))
    return montage(tiles, columns)


def montage(pictures: Sequence[RGB], columns: int) -> RGB:
    """Pictures of one size (Y, X, 3) side by side in rows; missing ones at the end are black.

    >>> montage([np.zeros((4, 5, 3), np.uint8)] * 3, columns=2).shape
    (8, 10, 3)
    """
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].shape[:2]
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    return sheet


def _cut(
    image: Image,
    plane: int,
    at: NDArray[np.float64],
    middle: NDArray[np.float64],
    reach_mm: float,
    pixels: int,
    marked: Sequence[tuple[Mask, tuple[int, int, int]]],
    limits: tuple[float, float],
    tint: bool = False,
) -> RGB:
    """One cut along array axis `plane`, centred on voxel `middle`, at voxel `at` in depth."""
    depth = int(np.clip(np.rint(at[plane]), 0, image.shape[plane] - 1))
    grid = _grid(image, plane, middle, reach_mm, pixels)
    plain = np.asarray(image.array[0].take(depth, plane))
    grey = windowed(_sampled(plain, grid, limits[0]), limits)
    picture = np.repeat((grey * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    for place, (mask, colour) in enumerate(marked):
        inside = _sampled(np.asarray(mask.take(depth, plane)), grid, 0.0) > 0.5
        if tint:
            picture = tinted(picture, inside, colour)
        else:
            width = max(1, round(pixels / 160))
            picture = outlined(picture, inside, colour, width=width, dash=_DASH * width if place else 0)
    return picture


def _grid(
    image: Image, plane: int, middle: NDArray[np.float64], reach_mm: float, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxel rows and columns of the picture's pixels, turned so that head and front lie up."""
    down, across = (axis for axis in range(3) if axis != plane)
    steps = ((np.arange(pixels) + 0.5) / pixels - 0.5) * reach_mm
    signs = {0: -_sign(image, 0), 1: _sign(image, 1), 2: _sign(image, 2)}
    rows, columns = (middle[axis] + signs[axis] * steps / spacing_mm(image)[axis] for axis in (down, across))
    return rows, columns


def _sign(image: Image, axis: int) -> int:
    """+1 where an array axis (z, y, x) runs to head, back or left, -1 where it runs the other way."""
    world = 2 - axis
    return 1 if direction_of(image)[world, world] >= 0 else -1


def _sampled(
    plane: NDArray[Any], grid: tuple[NDArray[np.float64], NDArray[np.float64]], beyond: float
) -> NDArray[np.float32]:
    places = np.stack(np.meshgrid(*grid, indexing="ij"))
    return np.asarray(
        ndimage.map_coordinates(plane.astype(np.float32), places, order=1, mode="constant", cval=beyond)
    )
