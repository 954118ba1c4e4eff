"""The part of a very large image that is worth explaining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def telling_window(probability: NDArray[np.float32], sides: Sequence[int]) -> tuple[slice, ...]:
    """Where a window of `sides` holds the most probability of (K, *S), the first such in reading order.

    >>> field = np.zeros((1, 8, 8), np.float32)
    >>> field[0, 6, 1] = 1
    >>> telling_window(field, (4, 4))
    (slice(3, 7, None), slice(0, 4, None))
    """
    summed = probability.max(0).astype(np.float64)
    for axis, side in enumerate(sides):
        ends = np.cumsum(summed, axis=axis)
        ends = np.concatenate([np.zeros_like(ends.take([0], axis)), ends], axis)
        count = max(ends.shape[axis] - side, 1)
        last = np.minimum(np.arange(count) + side, ends.shape[axis] - 1)
        summed = ends.take(last, axis) - ends.take(np.arange(count), axis)
    corner = np.unravel_index(int(np.argmax(np.round(summed, 6))), summed.shape)
    sizes = probability.shape[1:]
    return tuple(
        slice(int(at), min(int(at) + side, size)) for at, side, size in zip(corner, sides, sizes, strict=True)
    )
