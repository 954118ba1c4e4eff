"""Polygons become masks: a pixel is inside where its centre is, whatever the polygon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Rings = Sequence[NDArray[np.float64]]


def fill(mask: NDArray[np.bool_], rings: Rings, origin: tuple[int, int] = (0, 0)) -> None:
    """Set the pixels of a window (Y, X) whose centres lie inside the rings (N, 2) of x, y, counted even-odd.

    `origin` (y, x) is the window's place in the image. Holes are rings like others.
    """
    corners = np.concatenate(list(rings))
    top = max(0, math.floor(corners[:, 1].min()) - origin[0])
    bottom = min(mask.shape[0], math.ceil(corners[:, 1].max()) - origin[0])
    left = max(0, math.floor(corners[:, 0].min()) - origin[1])
    right = min(mask.shape[1], math.ceil(corners[:, 0].max()) - origin[1])
    if top >= bottom or left >= right:
        return
    box = bottom - top, right - left
    shift = np.array([origin[1] + left, origin[0] + top], np.float64)
    toggles = np.zeros((box[0], box[1] + 1), np.uint8)
    for ring in rings:
        rows, columns = _crossings(ring - shift, box)
        np.bitwise_xor.at(toggles, (rows, columns), np.uint8(1))
    inside = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1).astype(bool)
    mask[top:bottom, left:right] |= inside


def _crossings(
    ring: NDArray[np.float64], box: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and first column to the right of each place where a ring crosses the middle of a row of pixels."""
    x0, y0 = ring.T
    x1, y1 = np.roll(ring, -1, axis=0).T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    first = np.clip(np.ceil(low - 0.5), 0, box[0]).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), 0, box[0]).astype(np.int64)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(ring)), counts)
    begin = np.repeat(np.cumsum(counts) - counts, counts)
    rows = first[edge] + np.arange(len(edge)) - begin
    rise = np.where(y1 == y0, 1.0, y1 - y0)[edge]
    x = x0[edge] + (rows + 0.5 - y0[edge]) * (x1 - x0)[edge] / rise
    columns = np.clip(np.ceil(x - 0.5), 0, box[1]).astype(np.int64)
    return rows, columns


def filled(
    shape: tuple[int, int], polygons: Iterable[Rings], origin: tuple[int, int] = (0, 0)
) -> NDArray[np.bool_]:
    """A mask (Y, X) of all polygons together.

    >>> filled((2, 3), [[np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])]]).tolist()
    [[True, True, False], [False, False, False]]
    """
    mask = np.zeros(shape, bool)
    for rings in polygons:
        fill(mask, rings, origin)
    return mask
