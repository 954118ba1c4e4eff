"""Growing and shrinking masks by balls in millimetres, on voxels of any shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
# Distances that are equal but for rounding count as equal.
_SLACK = 1 + 1e-6


def dilate(mask: Mask, radius_mm: float, spacing: NDArray[np.float64]) -> Mask:
    """Dilation by a world ball. Only the box around the mask is looked at.

    >>> dilate(np.eye(3, dtype=bool)[None], 1.0, np.ones(3))[0].astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    """
    box = _around(mask, np.ceil(radius_mm / spacing))
    grown = np.zeros_like(mask)
    if box is not None:
        grown[box] = _within(mask[box], radius_mm, spacing)
    return grown


def erode(mask: Mask, radius_mm: float, spacing: NDArray[np.float64]) -> Mask:
    """Erosion by a world ball; beyond the volume counts as inside."""
    box = _around(mask, np.ones(3))
    left = np.zeros_like(mask)
    if box is not None:
        left[box] = mask[box] & ~_within(~mask[box], radius_mm, spacing)
    return left


def _around(mask: Mask, margin: NDArray[np.float64]) -> tuple[slice, ...] | None:
    """The box of a mask with a margin in voxels, None where the mask is empty."""
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return None
    return tuple(
        slice(max(0, part.start - int(more)), min(size, part.stop + int(more)))
        for part, more, size in zip(found[0], margin, mask.shape, strict=True)
    )


def _within(mask: Mask, radius_mm: float, spacing: NDArray[np.float64]) -> Mask:
    """Voxels at most so far from the mask, by exact distances (Maurer et al. 2003)."""
    import SimpleITK

    if not mask.any() or mask.all():
        return mask.copy()
    itk = SimpleITK.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    itk.SetSpacing([float(step) for step in spacing[::-1]])
    away = SimpleITK.SignedMaurerDistanceMap(
        itk, insideIsPositive=False, squaredDistance=True, useImageSpacing=True
    )
    return np.asarray(SimpleITK.GetArrayFromImage(away) <= radius_mm**2 * _SLACK)
