"""Brushes for volumes: a frame in millimetres, capsules and balls drawn into small windows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.phantoms.drawing import Field

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """A voxel grid (Z, Y, X) whose middle is at 0, 0, 0 mm; `spacing` in mm, array order."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def axes(self) -> list[Field]:
        """Open coordinate arrays z, y, x in mm."""
        lines = [
            (np.arange(n) - (n - 1) / 2) * step for n, step in zip(self.shape, self.spacing, strict=True)
        ]
        return [axis.astype(np.float32) for axis in np.ix_(*lines)]

    def index(self, point: Point) -> Point:
        """Fractional voxel index z, y, x of a point z, y, x in mm."""
        z, y, x = (
            at / step + (n - 1) / 2 for at, step, n in zip(point, self.spacing, self.shape, strict=True)
        )
        return z, y, x

    @property
    def voxel(self) -> float:
        """Mean edge of a voxel in mm."""
        return float(np.prod(self.spacing) ** (1 / 3))

    def window(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, ...]:
        """Slices of the voxels between two corners in mm; they may be empty."""
        cuts = []
        for at0, at1, step, n in zip(low, high, self.spacing, self.shape, strict=True):
            first = int(np.floor(at0 / step + (n - 1) / 2))
            last = int(np.ceil(at1 / step + (n - 1) / 2)) + 1
            cuts.append(slice(min(max(first, 0), n), min(max(last, 0), n)))
        return tuple(cuts)


def capsule(
    frame: Frame,
    axes: Sequence[Field],
    start: Point,
    end: Point,
    radii: tuple[float, float],
    margin: float = 0.0,
) -> tuple[tuple[slice, ...], Field]:
    """Window and signed distance in mm to a capsule from `start` to `end` (z, y, x), with tapering radius.

    `margin` enlarges the window by so many mm.
    """
    reach = max(radii) + 1.5 * max(frame.spacing) + margin
    low = [min(a, b) - reach for a, b in zip(start, end, strict=True)]
    high = [max(a, b) + reach for a, b in zip(start, end, strict=True)]
    window = frame.window(low, high)
    steps = [b - a for a, b in zip(start, end, strict=True)]
    offsets = [cut(axis, window, i) - a for i, (axis, a) in enumerate(zip(axes, start, strict=True))]
    length = max(sum(step * step for step in steps), 1e-6)
    along = np.clip(sum(o * s for o, s in zip(offsets, steps, strict=True)) / length, 0, 1)
    square = sum((o - along * s) ** 2 for o, s in zip(offsets, steps, strict=True))
    return window, (np.sqrt(square) - (radii[0] + along * (radii[1] - radii[0]))).astype(np.float32)


def cut(axis: Field, window: tuple[slice, ...], number: int) -> Field:
    """The part of an open coordinate array that a window covers."""
    return axis[tuple(window[i] if i == number else slice(None) for i in range(axis.ndim))]


def paint(volume: Field, window: tuple[slice, ...], share: NDArray[np.float32], value: float | Field) -> None:
    """Mix `value` into the window of the volume, in place, by the share 0 to 1 of each voxel."""
    part = volume[window]
    part += share * (value - part)
