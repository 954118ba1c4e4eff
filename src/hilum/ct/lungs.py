"""Lungs found without training: threshold, body, airways cut off, left and right, closed over nodules.

Works on a grid of about 2 mm and returns to the image's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.airways import find_airways
from hilum.ct.coordinates import head_end, left_end, spacing_mm
from hilum.ct.hounsfield import clean_array, doubts
from hilum.ct.morphology import dilate, erode
from hilum.image.image import Image

RIGHT, LEFT = 1, 2
_AIR_BELOW_HU = -400.0
_BODY_ABOVE_HU = -500.0
_GRID_MM = 2.0
_CLOSING_MM = 12.0
_LEAST_AIR_L = 0.3
_PLAUSIBLE_L = (1.5, 9.0)
Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lungs:
    """Lungs on the image's grid: `sides` (Z, Y, X) uint8 is 0 outside, 1 in the right lung, 2 in the left.

    Volumes are in litres and hold vessels, nodules and walls of airways as well as air. `warnings` says in
    words what makes the result doubtful.
    """

    sides: NDArray[np.uint8]
    volume_l: float
    left_l: float
    right_l: float
    warnings: tuple[str, ...] = ()

    @property
    def mask(self) -> Mask:
        """Both lungs, (Z, Y, X) bool."""
        return self.sides > 0

    def __str__(self) -> str:
        return f"lungs {self.volume_l:.2f} l (right {self.right_l:.2f}, left {self.left_l:.2f})"


def lung_mask(image: Image) -> Lungs:
    """Find the lungs in a chest CT (1, Z, Y, X) in Hounsfield units, patient lying on the back or front.

    Raises ImageError where the spacing is unknown. A scan without lungs gives an empty mask and a warning.
    """
    spacing = spacing_mm(image)
    coarse, factors = shrink(image.array[0], spacing, _GRID_MM)
    step = spacing * factors
    inner, trouble = air_inside(coarse, step)
    airways = find_airways(coarse, inner, step, head_end(image))
    if inner.any() and not airways.any():
        trouble = (*trouble, "no trachea was found: if it is in the scan, it is part of the lungs here")
    sides, more = _two_lungs(inner & ~airways, step, left_end(image))
    closed = _closed(sides, step, airways)
    full = _enlarge(closed, image.shape, factors)
    return _measured(full, spacing, (*doubts(image), *trouble, *more), image)


def shrink(
    array: NDArray[np.generic], spacing: NDArray[np.float64], grid_mm: float
) -> tuple[Volume, NDArray[np.int_]]:
    """Cleaned block means (Z, Y, X) on a grid of about `grid_mm`, and the whole factors (z, y, x) used."""
    factors = np.maximum(1, np.round(grid_mm / spacing)).astype(int)
    slabs = []
    for start in range(0, array.shape[0], factors[0]):
        slab = clean_array(array[start : start + factors[0]]).astype(np.float32)
        pad = [(0, (-size) % int(factor)) for size, factor in zip(slab.shape[1:], factors[1:], strict=True)]
        plane = np.pad(slab.mean(axis=0), pad, mode="edge")
        rows, columns = plane.shape[0] // factors[1], plane.shape[1] // factors[2]
        slabs.append(plane.reshape(rows, factors[1], columns, factors[2]).mean(axis=(1, 3)))
    return np.stack(slabs), factors


def air_inside(hu: Volume, spacing: NDArray[np.float64]) -> tuple[Mask, tuple[str, ...]]:
    """Air (Z, Y, X) inside the body, and what was doubtful about it.

    Where the body is cut by the field of view, so that no outline holds its air, air that touches at most
    two sides of the image is taken.
    """
    inner = (hu < _AIR_BELOW_HU) & _body(hu, spacing)
    voxel_l = float(np.prod(spacing)) / 1e6
    if inner.sum() * voxel_l > _LEAST_AIR_L:
        return inner, ()
    labels, count = ndimage.label(hu < _AIR_BELOW_HU)
    touched = np.zeros(count + 1, int)
    for axis in (1, 2):
        for end in (0, -1):
            touched[np.unique(labels.take(end, axis=axis))] += 1
    touched[0] = 4
    cut = (touched <= 2)[labels]
    if cut.sum() * voxel_l > max(_LEAST_AIR_L, float(inner.sum()) * voxel_l):
        return cut, ("the field of view cuts the body or the lungs: parts are missing",)
    return inner, ()


def _body(hu: Volume, spacing: NDArray[np.float64]) -> Mask:
    """The body filled, slice by slice: the largest soft part once thin things (table, sheets) are gone."""
    soft = np.pad(hu > _BODY_ABOVE_HU, ((0, 0), (1, 1), (1, 1)))
    opened = erode(soft, 4.0, spacing)
    labels, count = ndimage.label(opened)
    if not count:
        return np.zeros(hu.shape, bool)
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    body = dilate(labels == largest, 6.0, spacing) & soft
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])[:, 1:-1, 1:-1]


def _two_lungs(
    air: Mask, spacing: NDArray[np.float64], left: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Right and left lung (Z, Y, X): the two largest parts, taken apart where they are joined."""
    labels, count = ndimage.label(air)
    sides = np.zeros(air.shape, np.uint8)
    if not count:
        return sides, ("no lungs were found",)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    order = np.argsort(sizes)[::-1]
    first = labels == order[0]
    if count > 1 and sizes[order[1]] > 0.15 * sizes[order[0]]:
        parts = (first, labels == order[1])
    else:
        split = _taken_apart(first, spacing)
        if split is None:
            middle = air.shape[2] / 2
            at = float(np.nonzero(first)[2].mean())
            sides[first] = LEFT if (at - middle) * left > 0 else RIGHT
            return sides, ("only one lung was found",)
        parts = split
    columns = [float(np.nonzero(part)[2].mean()) * left for part in parts]
    sides[parts[int(np.argmin(columns))]] = RIGHT
    sides[parts[int(np.argmax(columns))]] = LEFT
    return sides, ()


def _taken_apart(joined: Mask, spacing: NDArray[np.float64]) -> tuple[Mask, Mask] | None:
    """Two parts of a mask that erosion separates, grown back to share it; None where nothing does."""
    depth = ndimage.distance_transform_edt(joined, sampling=spacing)
    for radius in (2.0, 3.0, 4.0, 6.0, 8.0, 10.0):
        labels, count = ndimage.label(depth > radius)
        if count < 2:
            continue
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        order = np.argsort(sizes)[::-1][:2]
        if sizes[order[1]] > 0.15 * sizes[order[0]]:
            seeds = np.where(np.isin(labels, order), labels, 0)
            nearest = ndimage.distance_transform_edt(
                seeds == 0, sampling=spacing, return_distances=False, return_indices=True
            )
            owner = seeds[tuple(nearest)]
            return joined & (owner == order[0]), joined & (owner == order[1])
    return None


def _closed(sides: NDArray[np.uint8], spacing: NDArray[np.float64], airways: Mask) -> NDArray[np.uint8]:
    """Each lung closed by a ball, so that wall nodules and vessels lie inside, and its holes filled."""
    closed = np.zeros_like(sides)
    pad = np.ceil(_CLOSING_MM / spacing).astype(int) + 1
    wide = [(int(size), int(size)) for size in pad]
    for side, box in enumerate(ndimage.find_objects(sides, 2), start=RIGHT):
        if box is None:
            continue
        around = tuple(
            slice(max(0, part.start - int(more)), part.stop + int(more))
            for part, more in zip(box, pad, strict=True)
        )
        own, taken = sides[around], closed[around]
        lung = np.pad(own == side, wide)
        lung = ~dilate(~dilate(lung, _CLOSING_MM, spacing), _CLOSING_MM, spacing)
        lung = ndimage.binary_fill_holes(lung)
        core = lung[tuple(slice(before, -after) for before, after in wide)]
        taken[(core | (own == side)) & (taken == 0) & ((own == 0) | (own == side))] = side
    closed[airways] = 0
    return closed


def _enlarge(
    sides: NDArray[np.uint8], shape: tuple[int, ...], factors: NDArray[np.int_]
) -> NDArray[np.uint8]:
    """Coarse sides on the full grid, with edges smoothed by linear interpolation between block centres."""
    full = np.zeros(shape, np.uint8)
    places = [
        (np.arange(size) - (factor - 1) / 2) / factor for size, factor in zip(shape, factors, strict=True)
    ]
    for side in (RIGHT, LEFT):
        part = (sides == side).astype(np.float32)
        for axis in (2, 1):
            part = _interpolated(part, places[axis], axis)
        for z, place in enumerate(places[0]):
            low = int(np.clip(np.floor(place), 0, part.shape[0] - 1))
            high = min(low + 1, part.shape[0] - 1)
            share = float(np.clip(place - low, 0, 1))
            full[z][(1 - share) * part[low] + share * part[high] > 0.5] = side
    return full


def _interpolated(array: Volume, places: NDArray[np.float64], axis: int) -> Volume:
    last = array.shape[axis] - 1
    low = np.clip(np.floor(places), 0, last).astype(int)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = np.clip(places - low, 0, 1).astype(np.float32).reshape(shape)
    mixed = array.take(low, axis) * (1 - share) + array.take(np.minimum(low + 1, last), axis) * share
    return np.asarray(mixed, np.float32)


def _measured(
    sides: NDArray[np.uint8], spacing: NDArray[np.float64], known: tuple[str, ...], image: Image
) -> Lungs:
    litres = np.bincount(sides.ravel(), minlength=3)[1:] * float(np.prod(spacing)) / 1e6
    right, left = float(litres[0]), float(litres[1])
    found = list(known)
    if not _PLAUSIBLE_L[0] <= right + left <= _PLAUSIBLE_L[1]:
        found.append(
            f"lung volume {right + left:.2f} l is outside {_PLAUSIBLE_L[0]:g} to {_PLAUSIBLE_L[1]:g} l: "
            "look at the pictures before you trust it"
        )
    if min(left, right) < 0.35 * max(left, right):
        found.append(f"right {right:.2f} l and left {left:.2f} l differ by more than illness explains")
    if image.geometry is None:
        found.append("the image does not say how the patient lies: left and head are taken as usual")
    return Lungs(sides, right + left, left, right, tuple(found))
