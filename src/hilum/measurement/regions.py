"""Connected regions of a mask, measured in physical units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.errors import HilumError
from hilum.image.spacing import Spacing

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """One connected region; pixels that touch by a corner belong together.

    `size` is its area (2D) or volume (3D) in squared or cubed units of the spacing, `diameter` that of
    the disc or ball of equal size, in the unit. `centroid` and the half-open box from `low` to `high`
    are in pixels, in array order: (Y, X) or (Z, Y, X), the centre of the first pixel being 0.
    `mean_probability` is NaN where no probabilities were given.
    """

    pixels: int
    size: float
    diameter: float
    centroid: tuple[float, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    touches_border: bool
    mean_probability: float


def measure_regions(
    mask: NDArray[np.bool_], spacing: Spacing, probability: NDArray[Any] | None = None
) -> list[Region]:
    """Measure the regions of a mask (Y, X) or (Z, Y, X), in the order of their first pixels.

    `probability` of the same shape is float in 0 to 1, or uint8 with 255 for certainty.
    Raises HilumError where shapes do not fit.

    >>> mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1]], bool)
    >>> [region.size for region in measure_regions(mask, Spacing((2.0, 0.5), "um"))]
    [2.0, 1.0]
    """
    _check(mask, spacing, probability)
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, bool))
    if not count:
        return []
    inside = np.flatnonzero(labels)
    label = labels.ravel()[inside]
    pixels = np.bincount(label, minlength=count + 1)[1:]
    places = np.unravel_index(inside, mask.shape)
    centroids = np.stack([_mean(label, place, pixels) for place in places], axis=1)
    means = _probabilities(probability, inside, label, pixels)
    boxes = ndimage.find_objects(labels)
    lows = (tuple(int(part.start) for part in box) for box in boxes)
    highs = (tuple(int(part.stop) for part in box) for box in boxes)
    centres = map(tuple, centroids.tolist())
    parts = zip(pixels.tolist(), centres, lows, highs, means.tolist(), strict=True)
    return [region_of(spacing, mask.shape, *part) for part in parts]


def equivalent_diameter(size: float, ndim: int) -> float:
    """Diameter of the disc (2D) of this area or the ball (3D) of this volume.

    >>> round(equivalent_diameter(math.pi * 25, 2), 6), round(equivalent_diameter(math.pi / 6 * 8, 3), 6)
    (10.0, 2.0)
    """
    return 2 * math.sqrt(size / math.pi) if ndim == 2 else float(np.cbrt(6 * size / math.pi))


def region_of(
    spacing: Spacing,
    shape: tuple[int, ...],
    pixels: int,
    centroid: tuple[float, ...],
    low: tuple[int, ...],
    high: tuple[int, ...],
    mean_probability: float = math.nan,
) -> Region:
    """A region of an image of `shape` by what was counted of it: all in pixels and array order."""
    size = pixels * spacing.pixel_size
    return Region(
        pixels=pixels,
        size=size,
        diameter=equivalent_diameter(size, len(shape)),
        centroid=centroid,
        low=low,
        high=high,
        touches_border=min(low) == 0 or any(end == full for end, full in zip(high, shape, strict=True)),
        mean_probability=mean_probability,
    )


def _mean(label: NDArray[Any], values: NDArray[Any], pixels: NDArray[np.intp]) -> Floats:
    """Mean of the values of each region."""
    return np.asarray(np.bincount(label, weights=values, minlength=len(pixels) + 1)[1:] / pixels, np.float64)


def _probabilities(
    probability: NDArray[Any] | None, inside: NDArray[np.intp], label: NDArray[Any], pixels: NDArray[np.intp]
) -> Floats:
    if probability is None:
        return np.full(len(pixels), np.nan)
    scale = 255.0 if probability.dtype == np.uint8 else 1.0
    return _mean(label, probability.ravel()[inside], pixels) / scale


def _check(mask: NDArray[np.bool_], spacing: Spacing, probability: NDArray[Any] | None) -> None:
    if mask.ndim not in (2, 3) or len(spacing.sizes) != mask.ndim:
        raise HilumError(f"mask {mask.shape} and spacing {spacing} do not fit: one size for each axis")
    if probability is not None and probability.shape != mask.shape:
        raise HilumError(f"mask {mask.shape} and probability {probability.shape} must have one shape")
