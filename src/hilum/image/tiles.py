"""Tiles: where they start, the slices that cut them, and the weights that blend them without a seam."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError

_LEAST_WEIGHT = 1e-3


def even_starts(size: int, tile: int, count: int) -> tuple[int, ...]:
    """Starts of `count` tiles spread evenly over `size` pixels, the first at 0 and the last at the far end.

    A size up to the tile has one start, 0; a single tile lies in the middle. Too few tiles leave gaps,
    which the caller has then asked for: `tile_starts` leaves none.

    >>> even_starts(1392, 512, 4), even_starts(1040, 512, 2)
    ((0, 293, 587, 880), (0, 528))
    """
    if size < 1 or tile < 1 or count < 1:
        raise ImageError(f"{count} tiles of {tile} pixels over {size}: each of the three must be at least 1")
    span = size - tile
    if span <= 0:
        return (0,)
    if count == 1:
        return (span // 2,)
    return tuple((2 * at * span + count - 1) // (2 * (count - 1)) for at in range(count))


def tile_starts(size: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Evenly spread starts of the fewest tiles that cover `size` with at least `overlap` pixels in common.

    >>> tile_starts(1040, 512, 0)
    (0, 264, 528)
    >>> tile_starts(100, 512, 64)
    (0,)
    """
    if not 0 <= overlap < tile:
        raise ImageError(f"an overlap of {overlap} pixels needs tiles larger than {tile}")
    return even_starts(size, tile, max(1, math.ceil((size - overlap) / (tile - overlap))))


def tile_slices(
    shape: Sequence[int], tile: Sequence[int], overlap: Sequence[int]
) -> Iterator[tuple[slice, ...]]:
    """Slices of all tiles of an image (Y, X) or volume (Z, Y, X), row by row; smaller images give one tile.

    >>> [tuple((part.start, part.stop) for part in tile) for tile in tile_slices((4, 6), (4, 4), (0, 2))]
    [((0, 4), (0, 4)), ((0, 4), (2, 6))]
    """
    axes = zip(shape, tile, overlap, strict=True)
    parts = [
        [slice(at, min(at + part, size)) for at in tile_starts(size, part, least)]
        for size, part, least in axes
    ]
    return itertools.product(*parts)


def even_slices(shape: Sequence[int], tile: Sequence[int], counts: Sequence[int]) -> list[tuple[slice, ...]]:
    """Slices of so many tiles along each axis of an image (Y, X) or volume (Z, Y, X), evenly spread.

    >>> [(part[0].start, part[1].start) for part in even_slices((1040, 1392), (512, 512), (2, 3))]
    [(0, 0), (0, 440), (0, 880), (528, 0), (528, 440), (528, 880)]
    """
    axes = zip(shape, tile, counts, strict=True)
    parts = [
        [slice(at, min(at + part, size)) for at in even_starts(size, part, count)]
        for size, part, count in axes
    ]
    return list(itertools.product(*parts))


def blend_window(shape: Sequence[int]) -> NDArray[np.float32]:
    """Weights (Y, X) or (Z, Y, X) in (0, 1] for blending overlapping tiles: squared sine along each axis.

    The weights of tiles that overlap by half add up to nearly one; none is zero, so that the rim of an
    image, which one tile alone sees, can be divided by its weight.

    >>> blend_window((8, 8)).max() <= 1, bool(blend_window((8, 8)).min() > 0)
    (np.True_, True)
    """
    if not shape or min(shape) < 1:
        raise ImageError(f"a blend window of shape {tuple(shape)} has no pixels")
    window = np.ones((), np.float32)
    for size in shape:
        wave = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
        window = np.multiply.outer(window, (_LEAST_WEIGHT + (1 - _LEAST_WEIGHT) * wave).astype(np.float32))
    return np.asarray(window, np.float32)
