"""Uneven light of a microscope, estimated from one bright-field image and divided out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.image.resampling import linear_window

BLOCK = 16
DEGREE = 4
ROUNDS = 40
_ABOVE = 0.997
_STRIDE = 2
_COARSE = 96


def light_surface(array: NDArray[Any]) -> NDArray[np.float32]:
    """Brightness of the empty background over a bright-field image (C, Y, X), in its own units.

    A smooth surface of degree four in log intensity under which nearly all blocks of 16 pixels lie:
    asymmetric least squares after Eilers and Boelens 2005. Images under 64 pixels get a flat surface.
    """
    height, width = array.shape[1:]
    return light_window(coarse_light(array), (height, width), (0, height, 0, width))


def light_window(
    coarse: NDArray[np.float32], size: Sequence[int], window: tuple[int, int, int, int]
) -> NDArray[np.float32]:
    """The surface (C, h, w) within a window (from y, to y, from x, to x) of an image of `size` (Y, X)."""
    return np.asarray(linear_window(torch.from_numpy(coarse), size, window).numpy(), np.float32)


def coarse_light(array: NDArray[Any]) -> NDArray[np.float32]:
    """The same surface on a raster of 96 x 96 points (C, 96, 96), for images too large to hold it whole."""
    channels, height, width = array.shape
    if min(height, width) < 4 * BLOCK:
        top = np.percentile(array.reshape(channels, -1), 95, axis=1).astype(np.float32)
        return np.broadcast_to(np.maximum(top, 1e-6)[:, None, None], (channels, _COARSE, _COARSE)).copy()
    bright = _bright_blocks(array)
    rows, columns = bright.shape[1:]
    basis = _polynomials(rows, columns).reshape(rows * columns, -1)
    weights = np.stack([_envelope(basis, np.log(np.maximum(plane, 1e-6)).ravel()) for plane in bright])
    coarse = np.exp(np.moveaxis(_polynomials(_COARSE, _COARSE) @ weights.T.astype(np.float32), -1, 0))
    return np.ascontiguousarray(coarse, np.float32)


def flattened(array: NDArray[Any]) -> NDArray[np.float32]:
    """The image (C, Y, X) relative to its background light: about 1 where nothing absorbs, 0 where black.

    >>> flattened(np.full((3, 80, 80), 200, np.uint8)).mean().round(2)
    np.float32(1.0)
    """
    return relative_to(array, light_surface(array))


def relative_to(array: NDArray[Any], light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels (C, Y, X) divided by the background light there, 0 to 1.5."""
    return np.asarray(np.clip(array.astype(np.float32) / light, 0.0, 1.5), np.float32)


def unevenness(array: NDArray[Any]) -> float:
    """How much the background light falls off: 0 for even light, 0.5 for half in the corners."""
    surface = light_surface(array)[:, ::BLOCK, ::BLOCK].mean(0)
    low, high = np.percentile(surface, [2, 98])
    return float(1 - low / max(high, 1e-6))


def _bright_blocks(array: NDArray[Any]) -> NDArray[np.float64]:
    channels, height, width = array.shape
    rows, columns = height // BLOCK, width // BLOCK
    inside = array[:, : rows * BLOCK : _STRIDE, : columns * BLOCK : _STRIDE]
    side = BLOCK // _STRIDE
    blocks = (
        inside.reshape(channels, rows, side, columns, side)
        .swapaxes(2, 3)
        .reshape(channels, rows, columns, -1)
    )
    return np.asarray(np.percentile(blocks.astype(np.float64), 90, axis=-1), np.float64)


def _polynomials(height: int, width: int) -> NDArray[np.float32]:
    """All products of powers of y and x up to the degree at pixel centres: (Y, X, K)."""
    y = ((np.arange(height, dtype=np.float32) + 0.5) * 2 / height - 1)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) * 2 / width - 1)[None]
    terms = [x**i * y**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    return np.stack([np.broadcast_to(term, (height, width)) for term in terms], -1)


def _envelope(basis: NDArray[np.float32], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of an upper envelope: blocks above the surface pull 30 times as hard as those below."""
    pull = np.ones(len(values))
    weights: NDArray[np.float64] = np.zeros(basis.shape[1])
    for _ in range(ROUNDS):
        root = np.sqrt(pull)
        weights = np.asarray(np.linalg.lstsq(basis * root[:, None], values * root, rcond=None)[0], np.float64)
        pull = np.where(values > basis @ weights, _ABOVE, 1 - _ABOVE)
    return weights
