"""Huge images made small, block by block, and where on them there is tissue."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.image.pyramid import Pyramid
from hilum.image.resampling import needed_part, resized_window

THUMBNAIL_PIXELS = 1_000_000
BLOCK_PIXELS = 4_000_000
_GLASS_LEAST = 0.7
_AWAY = 0.05


def thumbnail_shape(shape: tuple[int, int], most: int = THUMBNAIL_PIXELS) -> tuple[int, int]:
    """The shape (Y, X) of at most so many pixels with the sides of `shape` in proportion.

    >>> thumbnail_shape((30_000, 15_000), 2_000_000)
    (2000, 1000)
    """
    factor = max(1.0, (shape[0] * shape[1] / most) ** 0.5)
    return max(1, int(shape[0] / factor)), max(1, int(shape[1] / factor))


def thumbnail(pyramid: Pyramid, most: int = THUMBNAIL_PIXELS) -> NDArray[np.float32]:
    """The image (C, Y, X) shrunk to at most so many pixels, in its own units; not enlarged."""
    shape = thumbnail_shape(pyramid.shape, most)
    factor = pyramid.shape[0] / shape[0]
    level = pyramid.level_for(factor)
    return shrunken(pyramid, shape, level)


def shrunken(pyramid: Pyramid, shape: tuple[int, int], level: int = 0) -> NDArray[np.float32]:
    """A level of an image resized to `shape` (Y, X), read in bands of bounded size: (C, *shape)."""
    size = pyramid.levels[level].shape
    out = np.empty((pyramid.channels, *shape), np.float32)
    per_row = max(1.0, size[0] / shape[0]) * size[1]
    rows = max(1, int(BLOCK_PIXELS / per_row))
    for at in range(0, shape[0], rows):
        window = (at, min(at + rows, shape[0]), 0, shape[1])
        top, bottom, left, right = needed_part(size, shape, window)
        part = pyramid.read_window(top, left, bottom - top, right - left, level)
        band = resized_window(torch.from_numpy(as_numbers(part)), (top, left), size, shape, window)
        out[:, at : window[1]] = band.numpy()
    return out


def as_numbers(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels in a type that tensors have."""
    if array.dtype in (np.uint16, np.uint32, np.uint64, np.float64):
        return array.astype(np.float32)
    return array


def tissue_mask(small: NDArray[np.float32], top: float) -> NDArray[np.bool_]:
    """Where a thumbnail (C, Y, X) shows anything but empty glass: bool (Y, X).

    Glass is what the brightest twentieth of a colour image looks like, if that is near white (`top` is the
    highest value of its type): pixels whose means over 3 x 3 differ from it by less than a twentieth in
    every channel. Of other images only what is exactly as its darkest value is empty. Nothing is taken
    away where that is in doubt; tissue is widened by a pixel.
    """
    from scipy import ndimage

    if len(small) == 3:
        grey = small.mean(axis=0)
        glass = np.median(small[:, grey >= np.quantile(grey, 0.95)], axis=1)
        if glass.min() < _GLASS_LEAST * top:
            return np.ones(grey.shape, bool)
        smooth = np.stack([ndimage.uniform_filter(plane, 3, mode="nearest") for plane in small])
        away = (np.abs(smooth - glass[:, None, None]) / glass[:, None, None]).max(axis=0)
        found = away > _AWAY
    else:
        found = (small > small.min()).any(axis=0)
    return np.asarray(ndimage.binary_dilation(found, np.ones((3, 3), bool)), bool)


def shows_any(raster: NDArray[np.bool_], shape: tuple[int, ...], window: tuple[int, int, int, int]) -> bool:
    """Whether a small map (Y, X) of an image of `shape` holds anything in a window (y0, y1, x0, x1) of it."""
    down, across = raster.shape[0] / shape[0], raster.shape[1] / shape[1]
    y0, y1, x0, x1 = window
    rows = slice(int(y0 * down), int(np.ceil(y1 * down)))
    return bool(raster[rows, int(x0 * across) : int(np.ceil(x1 * across))].any())
