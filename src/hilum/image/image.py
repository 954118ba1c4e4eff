"""Pixels with geometry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.spacing import Spacing, unknown_spacing


@dataclass(frozen=True)
class Geometry:
    """Where a volume lies in the world, as ITK states it: x, y, z order, millimetres."""

    origin: tuple[float, float, float]
    direction: tuple[float, ...]


# Of a volume that says nothing of its place: axes along the world's, the first voxel at 0.
STRAIGHT = Geometry((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels (C, Y, X) or voxels (C, Z, Y, X) in their stored type, with their spacing.

    `palette` (K, 3) uint8 is kept where the pixels are indices into it. `notes` says what the
    reader had to decide (an alpha channel left out, say), for people to read.

    >>> Image(np.zeros((3, 40, 60), np.uint8))
    Image(3 x 40 x 60 CYX, uint8, 1 x 1 px, 0 to 0)
    """

    array: NDArray[Any]
    spacing: Spacing = field(default_factory=lambda: unknown_spacing(2))
    path: Path | None = None
    palette: NDArray[np.uint8] | None = None
    geometry: Geometry | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4):
            raise ImageError(
                f"{self.path or 'array'}: shape {self.array.shape} is not (C, Y, X) or (C, Z, Y, X)"
            )
        if self.array.size == 0:
            raise ImageError(f"{self.path or 'array'}: the image has no pixels (shape {self.array.shape})")
        if len(self.spacing.sizes) != self.array.ndim - 1:
            if self.spacing.known:
                where = self.path or "array"
                raise ImageError(f"{where}: spacing {self.spacing} for shape {self.array.shape}")
            object.__setattr__(self, "spacing", unknown_spacing(self.array.ndim - 1))

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.array.shape))
        low, high = self.array.min(), self.array.max()
        return f"Image({shape} {self.axes}, {self.array.dtype}, {self.spacing}, {low:g} to {high:g})"

    @property
    def axes(self) -> str:
        """Axis letters of the array: CYX or CZYX."""
        return "CYX" if self.array.ndim == 3 else "CZYX"

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.array.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape: (Y, X) or (Z, Y, X)."""
        return tuple(int(size) for size in self.array.shape[1:])

    def with_array(self, array: NDArray[Any]) -> Image:
        """The same geometry around other pixels of the same spatial shape, without palette."""
        return replace(self, array=array, palette=None)
