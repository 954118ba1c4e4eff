"""Nodules planted in other places: few marks become many examples of what a nodule looks like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EDGE = 1.5
DENSER_HU = 100
Cube = NDArray[np.float32]


def planted(background: Cube, nodule: Cube, radius: float) -> Cube:
    """A cube in HU (side, side, side) with the ball of `radius` voxels in the middle of another cube in it.

    The denser of both is kept, as lung gives way to a nodule and a vessel runs into it; the ball ends softly
    over one and a half voxels. After "cut, paste and learn" (Dwibedi et al. 2017), with the larger value for
    a blend because air is what surrounds a nodule.

    >>> empty, dense = np.full((9, 9, 9), -800, np.float32), np.full((9, 9, 9), 50, np.float32)
    >>> cube = planted(empty, dense, 2)
    >>> float(cube[4, 4, 4]), float(cube[0, 4, 4])
    (50.0, -800.0)
    """
    share = _ball(background.shape, radius)
    return np.asarray(background + share * np.maximum(nodule - background, 0), np.float32)


def visible(cube: Cube, background: Cube, radius: float) -> float:
    """The share, 0 to 1, of the ball that is denser by 100 HU or more than it was before."""
    share = _ball(background.shape, radius)
    return float((share * (cube - background >= DENSER_HU)).sum() / share.sum())


def _ball(shape: tuple[int, ...], radius: float) -> Cube:
    """1 inside the ball around the middle, falling to 0 over its edge."""
    axes = [np.arange(size, dtype=np.float32) - (size - 1) / 2 for size in shape]
    distance = np.sqrt(sum(part**2 for part in np.meshgrid(*axes, indexing="ij", sparse=True)))
    return np.asarray(np.clip((radius + EDGE - distance) / EDGE, 0, 1), np.float32)


def turned(cube: Cube, rng: np.random.Generator) -> Cube:
    """The cube turned by quarters and mirrored at random, one of its 48 ways to lie."""
    axes = rng.permutation(3)
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    return np.ascontiguousarray(cube.transpose(axes)[flips])
