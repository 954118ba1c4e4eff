"""Lungs slice by slice as the tutorials of 2017 found them: two intensity clusters, then rules for regions.

Kept for the recipe `nodule-2017`; `hilum.ct.lungs` is what everything else uses. The method is the one
described for the Data Science Bowl 2017 (slices of 512 x 512): sizes are stated as shares of the slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label, regionprops
from skimage.morphology import dilation, erosion

from hilum.ct.hounsfield import clean_array
from hilum.image.image import Image

_MIDDLE = (100 / 512, 400 / 512)
_WIDEST = 475 / 512
_TOP, _BOTTOM = 40 / 512, 472 / 512
_ERODE, _DILATE = 4 / 512, 10 / 512


def classic_lung_mask(image: Image) -> NDArray[np.bool_]:
    """Lungs (Z, Y, X) of a chest CT (1, Z, Y, X) in Hounsfield units, each slice on its own."""
    return np.stack([classic_slice(plane) for plane in image.array[0]])


def classic_slice(plane: NDArray[Any]) -> NDArray[np.bool_]:
    """Lungs (Y, X) of one axial slice (Y, X) in Hounsfield units; empty where no region passes the rules."""
    values = clean_array(plane).astype(np.float64)
    rows, columns = values.shape
    middle = values[_span(rows), _span(columns)]
    dark = values < two_means(middle)
    eroded = erosion(dark, np.ones((_side(rows, _ERODE), _side(columns, _ERODE)), bool))
    wide = np.ones((_side(rows, _DILATE), _side(columns, _DILATE)), bool)
    dilated = dilation(eroded, wide)
    kept = np.zeros(values.shape, bool)
    labels = label(dilated)
    for region in regionprops(labels):
        if fits(region.bbox, values.shape):
            kept[labels == region.label] = True
    return np.asarray(dilation(kept, wide), bool)


def two_means(values: NDArray[np.float64], steps: int = 50) -> float:
    """The threshold half way between the centres of two clusters of values (k-means in one dimension).

    >>> two_means(np.array([-900.0, -880.0, -890.0, 20.0, 60.0]))
    -425.0
    """
    ordered = np.sort(values, axis=None)
    threshold = float((ordered[0] + ordered[-1]) / 2)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(steps):
        at = int(np.searchsorted(ordered, threshold))
        if at in (0, ordered.size):
            break
        moved = float((sums[at] / at + (sums[-1] - sums[at]) / (ordered.size - at)) / 2)
        if abs(moved - threshold) < 1e-9:
            break
        threshold = moved
    return threshold


def fits(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> bool:
    """Whether a box (top, left, bottom, right) may be lung: not as wide as the body, not at the rim."""
    top, left, bottom, right = box
    rows, columns = shape
    narrow = bottom - top < _WIDEST * rows and right - left < _WIDEST * columns
    return narrow and top > _TOP * rows and bottom < _BOTTOM * rows


def _span(size: int) -> slice:
    return slice(int(_MIDDLE[0] * size), max(int(_MIDDLE[1] * size), int(_MIDDLE[0] * size) + 1))


def _side(size: int, share: float) -> int:
    return max(1, round(size * share))
