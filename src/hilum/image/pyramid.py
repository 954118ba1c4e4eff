"""Huge images read window by window: levels of a pyramid, each a plane of pixels that is never held whole."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.limits import decoding, shown
from hilum.image.spacing import Spacing

# Images with more pixels than this, in a format that allows it, are worked on window by window.
WHOLE_PIXELS = 16_000_000
# The largest strip, tile or chunk that is decoded to reach a window.
SEGMENT_BYTES = 256 * 1024**2
TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn", ".tf2", ".tf8")
ZARR_MARKS = (".zattrs", "zarr.json")

FIELD = re.compile(r"field (\d+),(\d+) (\d+)x(\d+)")

Read = Callable[[int, int, int, int, int], NDArray[Any]]


@dataclass(frozen=True)
class Level:
    """One level of a pyramid: its `shape` (Y, X), and how many times smaller than the first it is."""

    shape: tuple[int, int]
    factor: float


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An image on disk, (C, Y, X) at each of its `levels`, the first of which is full resolution.

    To be closed, or used as a context. `read(level, y, x, h, w)` is how its format gives pixels.
    """

    path: Path
    channels: int
    dtype: np.dtype[Any]
    spacing: Spacing
    levels: tuple[Level, ...]
    read: Read = field(repr=False)
    close: Callable[[], None] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Spatial shape (Y, X) at full resolution."""
        return self.levels[0].shape

    @property
    def pixels(self) -> int:
        """Number of pixels at full resolution."""
        return self.shape[0] * self.shape[1]

    def read_window(self, y: int, x: int, h: int, w: int, level: int = 0) -> NDArray[Any]:
        """Pixels (C, h, w) of a level from row `y` and column `x` on, in their stored type.

        Raises ImageError for a level or a window that is not there, or where the file is damaged.
        """
        if not 0 <= level < len(self.levels):
            raise ImageError(f"{shown(self.path)}: has levels 0 to {len(self.levels) - 1}, not {level}")
        height, width = self.levels[level].shape
        if y < 0 or x < 0 or h < 1 or w < 1 or y + h > height or x + w > width:
            raise ImageError(
                f"{shown(self.path)}: rows {y} to {y + h}, columns {x} to {x + w} lie outside level {level}, "
                f"which is {height} x {width}"
            )
        with decoding(self.path, "image"):
            return self.read(level, y, x, h, w)

    def level_for(self, factor: float) -> int:
        """The coarsest level that is at most `factor` times smaller than full resolution."""
        fitting = [index for index, level in enumerate(self.levels) if level.factor <= factor * 1.001]
        return max(fitting, key=lambda index: self.levels[index].factor)

    def __enter__(self) -> Pyramid:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_levels(shapes: list[tuple[int, int]]) -> tuple[Level, ...]:
    """Levels of these shapes (Y, X), the first at full resolution; larger ones and odd formats left out.

    >>> [round(level.factor, 2) for level in make_levels([(100, 200), (50, 100), (9, 9)])]
    [1.0, 2.0]
    """
    height, width = shapes[0]
    levels = [Level(shapes[0], 1.0)]
    for shape in shapes[1:]:
        factors = height / shape[0], width / shape[1]
        # sides are rounded on every level, so small ones may differ by some pixels from an exact ratio
        if max(factors) > 1.01 and abs(shape[0] - height / factors[1]) <= max(2.0, 0.01 * shape[0]):
            levels.append(Level(shape, (height * width / (shape[0] * shape[1])) ** 0.5))
    return tuple(levels)


def is_zarr(path: Path | str) -> bool:
    """Whether a path is a folder that holds a Zarr group or array."""
    path = Path(path)
    try:
        return path.is_dir() and any((path / mark).is_file() for mark in ZARR_MARKS)
    except (OSError, ValueError):  # a name that no file can have
        return False


def is_field(entry: str | None) -> bool:
    """Whether an entry is the name of a window of a file; see `hilum.image.fields`.

    >>> is_field("field 0,2048 512x1024"), is_field("train_images")
    (True, False)
    """
    return entry is not None and FIELD.fullmatch(entry) is not None


def zarr_folders(folder: Path) -> list[Path]:
    """The Zarr folders below a folder, in order; hidden ones and what lies inside of them left out."""
    found = []
    for root, folders, _ in os.walk(folder):
        zarrs = [Path(root) / name for name in folders if is_zarr(Path(root) / name)]
        found += zarrs
        folders[:] = [name for name in folders if not name.startswith(".") and Path(root) / name not in zarrs]
    return sorted(found)


def can_window(path: Path | str) -> bool:
    """Whether the name is one of a format that is read window by window; the file is not opened."""
    return is_zarr(path) or Path(path).name.lower().endswith(TIFF_SUFFIXES)


def open_pyramid(path: Path | str, mask: bool = False) -> Pyramid:
    """Open a TIFF, BigTIFF, OME-TIFF, SVS-like pyramid or an OME-Zarr folder for reading window by window.

    A `mask` keeps its values as `read_mask` keeps them.
    Raises ImageError for other formats, for stacks of planes or times, for palettes, and for files whose
    strips, tiles or chunks are too large to be decoded one by one.
    """
    path = Path(path)
    if is_zarr(path):
        from hilum.image.zarr_windows import open_zarr

        return open_zarr(path)
    if not path.name.lower().endswith(TIFF_SUFFIXES):
        raise ImageError(
            f"{shown(path)}: only TIFF (also BigTIFF, OME-TIFF and SVS) and OME-Zarr are read by windows; "
            "save it as a tiled TIFF"
        )
    from hilum.image.tiff_windows import open_tiff

    return open_tiff(path, mask)


def is_huge(path: Path | str) -> bool:
    """Whether an image is of a kind and size to be worked on window by window, by its header.

    False for what cannot be opened so: the reader of whole images then says what is wrong with it.
    """
    if not can_window(path):
        return False
    try:
        with open_pyramid(path) as pyramid:
            return pyramid.pixels > WHOLE_PIXELS or is_zarr(path)
    except ImageError:
        return False
