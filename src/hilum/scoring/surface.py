"""Distances between the surfaces of two masks, in the image's unit.

A mask's surface is its pixels with a neighbour (4 in 2D, 6 in 3D) outside the mask or the image, as in
MONAI. Distances are taken between pixel centres with a k-d tree over the surface pixels: it gives the
same numbers as distance transforms of the whole image and needs time and memory for the surface alone.

Where one mask or both are empty there is no distance: all figures are NaN, never infinite, and a summary
counts such cases as undefined beside its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from hilum.errors import HilumError


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in the unit of the spacing.

    `hd95`: larger of the two directed 95th percentiles (95 % Hausdorff distance). `hausdorff`: larger
    of the two directed maxima. `mean`: mean over the distances of both directions together (average
    symmetric surface distance).
    """

    hd95: float
    hausdorff: float
    mean: float


UNDEFINED = SurfaceDistances(float("nan"), float("nan"), float("nan"))


def surface_distances(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], sizes: Sequence[float]
) -> SurfaceDistances:
    """Distances between two masks (Y, X) or (Z, Y, X); `sizes` is the spacing in array order.

    NaN where a mask is empty. Raises HilumError where shapes or the number of sizes do not fit.

    >>> a, b = np.zeros((2, 9, 9), bool)
    >>> a[4, 1] = b[4, 5] = True
    >>> surface_distances(a, b, (1.0, 0.5)).hd95
    2.0
    """
    if prediction.shape != truth.shape or len(sizes) != truth.ndim:
        raise HilumError(
            f"surface distances need two masks of one shape and a size for each axis; "
            f"found {prediction.shape}, {truth.shape} and {len(sizes)} sizes"
        )
    points, others = surface_points(prediction, sizes), surface_points(truth, sizes)
    if not len(points) or not len(others):
        return UNDEFINED
    forth = KDTree(others).query(points)[0]
    back = KDTree(points).query(others)[0]
    return SurfaceDistances(
        hd95=float(max(np.percentile(forth, 95), np.percentile(back, 95))),
        hausdorff=float(max(forth.max(), back.max())),
        mean=float(np.concatenate((forth, back)).mean()),
    )


def surface_points(mask: NDArray[np.bool_], sizes: Sequence[float]) -> NDArray[np.float64]:
    """Positions (N, axes) of the surface pixels of a mask, in the unit of `sizes`, array order."""
    found = ndimage.find_objects(np.asarray(mask, bool).view(np.uint8), max_label=1)[0]
    if found is None:
        return np.empty((0, mask.ndim))
    corner = np.array([part.start for part in found])
    indices = np.argwhere(_surface(mask[found])) + corner
    return np.asarray(indices * np.asarray(sizes, np.float64), np.float64)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels inside the mask that a 4- or 6-neighbour outside it, or the edge of the array, touches."""
    padded = np.pad(mask, 1)
    inner = (slice(1, -1),) * mask.ndim
    interior = padded[inner].copy()
    for axis in range(mask.ndim):
        for part in (slice(None, -2), slice(2, None)):
            interior &= padded[(*inner[:axis], part, *inner[axis + 1 :])]
    surface: NDArray[np.bool_] = mask & ~interior
    return surface
