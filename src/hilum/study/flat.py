"""Flat areas of grey masks: what tells classes and numbers from soft edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLAT = 0.6
_BINS = 64
_SLOPE = 1 / 32
_LEAST = 0.01
_PEAK = 3.0


def are_flat(masks: Iterable[NDArray[Any]]) -> bool:
    """Whether of the pixels (..., Y, X) above 0 most have a neighbour along x of the same value."""
    pairs = equal = 0
    for mask in masks:
        left, right = mask[..., :-1], mask[..., 1:]
        both = (left > 0) & (right > 0)
        pairs += int(np.count_nonzero(both))
        equal += int(np.count_nonzero(both & (left == right)))
    return equal >= _FLAT * pairs > 0


def values_between(masks: Iterable[NDArray[Any]], high: float) -> list[float]:
    """Values between 0 and `high` that areas of masks (..., Y, X) have, as a class has after JPEG.

    Each holds a hundredth of the pixels that are not black, all as flat as JPEG leaves them, and stands out
    from the values around it, which blurred edges do not.
    """
    counts = np.zeros(_BINS, np.int64)
    marked = 0
    if not high > 0:
        return []
    for mask in masks:
        grey = np.asarray(mask, np.float32) / np.float32(high)
        marked += int(np.count_nonzero(grey > 1 / 8))
        counts += np.histogram(grey[..., 1:-1, 1:-1][_flat_places(grey)], _BINS, (0.0, 1.0))[0]
    return [round(high * (at + 0.5) / _BINS) for at in _peaks(counts, _LEAST * marked)]


def _flat_places(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which inner pixels (..., Y-2, X-2) differ little from the four beside them."""
    middle = grey[..., 1:-1, 1:-1]
    beside = (
        grey[..., :-2, 1:-1],
        grey[..., 2:, 1:-1],
        grey[..., 1:-1, :-2],
        grey[..., 1:-1, 2:],
    )
    return np.asarray(np.all([np.abs(middle - other) <= _SLOPE for other in beside], axis=0))


def _peaks(counts: NDArray[np.int64], least: float) -> list[int]:
    """Bins of a histogram, away from its ends, around which much more lies than to either side."""
    around = np.convolve(counts, np.ones(5), "same")
    inner = range(_BINS // 8 + 2, _BINS * 7 // 8 - 2)
    return [
        at - 2 + int(counts[at - 2 : at + 3].argmax())
        for at in inner
        if around[at] >= max(least, 1.0)
        and around[at] >= _PEAK * max(around[at - 6], around[at + 6])
        and around[at] == around[max(0, at - 6) : at + 7].max()
        and around[at] > around[at - 1]
    ]
