"""Uneven light of a microscope, estimated from one bright-field image and divided out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.image.resampling import linear_window

BLOCK = 16
DEGREE = 4
ROUNDS = 40
_ABOVE = 0.997
_STRIDE = 2
_COARSE = 96
_MOST = 1.5


def coarse_light(array: NDArray[Any]) -> NDArray[np.float32]:
    """Brightness of the empty background over a bright-field image (C, Y, X): (C, 96, 96), in its own units.

    A smooth surface of degree four in log intensity under which nearly all blocks of 16 pixels lie:
    asymmetric least squares after Eilers and Boelens 2005. Images under 64 pixels get a flat surface.

    >>> coarse_light(np.full((3, 80, 80), 200, np.uint8)).mean().round(1)
    np.float32(200.0)
    """
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


def evenly_lit(
    x: Tensor,
    coarse: NDArray[np.float32],
    size: Sequence[int] | None = None,
    window: tuple[int, int, int, int] | None = None,
) -> Tensor:
    """An image (C, Y, X) of any size divided by its background light `coarse` (C, 96, 96), 0 to 1.5.

    Or a `window` (from y, to y, from x, to x) of the image at `size` (Y, X). The light changes so little
    within a few pixels that shrinking first gives the same to a few thousandths.
    """
    height, width = x.shape[1:]
    light = linear_window(torch.from_numpy(coarse), size or (height, width), window or (0, height, 0, width))
    return (x / light).clamp_(0.0, _MOST)


def fall_off(coarse: NDArray[np.float32]) -> float:
    """How much background light (C, 96, 96) falls off: 0 for even light, 0.5 for half in the corners."""
    low, high = np.percentile(coarse.mean(0), [2, 98])
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
    """Weights of an upper envelope: blocks above the surface pull 330 times as hard as those below.

    Rounds of weighted least squares, by normal equations: the basis is small and its powers are bounded.
    """
    terms = basis.astype(np.float64)
    above = np.ones(len(values), bool)
    weights: NDArray[np.float64] = np.zeros(terms.shape[1])
    for _ in range(ROUNDS):
        pulled = terms * np.where(above, _ABOVE, 1 - _ABOVE)[:, None]
        weights = np.asarray(np.linalg.lstsq(pulled.T @ terms, pulled.T @ values, rcond=None)[0], np.float64)
        before, above = above, values > terms @ weights
        if np.array_equal(before, above):
            break
    return weights
