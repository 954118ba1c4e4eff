"""What is known so far of a huge image: probabilities by cells of the grid of tiles, kept on disk."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError, RunError
from hilum.files import read_json, whole_file, write_json
from hilum.image.arrays import load_array
from hilum.image.tiles import tile_starts
from hilum.inference.keeping import level_counts

HELD = 24


@dataclass(frozen=True)
class Grid:
    """Tiles of one size over an image of `shape` (Y', X'), from rows `ys` and columns `xs` on.

    A cell reaches from the start of its tile to the start of the next: cells do not overlap, and only
    tiles above and to the left of a cell, and its own, cover it.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    ys: tuple[int, ...]
    xs: tuple[int, ...]

    def places(self) -> list[tuple[int, int]]:
        """Row and column of every tile and cell, row by row."""
        return list(itertools.product(range(len(self.ys)), range(len(self.xs))))

    def tile_box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """From y, to y, from x, to x of a tile."""
        y, x = self.ys[row], self.xs[column]
        return y, min(y + self.tile[0], self.shape[0]), x, min(x + self.tile[1], self.shape[1])

    def cell_box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """From y, to y, from x, to x of a cell."""
        ys, xs = (*self.ys, self.shape[0]), (*self.xs, self.shape[1])
        return ys[row], ys[row + 1], xs[column], xs[column + 1]

    def covering(self, row: int, column: int) -> list[tuple[int, int]]:
        """The tiles that cover a part of a cell, row by row."""
        rows = [at for at in range(row + 1) if self.ys[at] + self.tile[0] > self.ys[row]]
        columns = [at for at in range(column + 1) if self.xs[at] + self.tile[1] > self.xs[column]]
        return list(itertools.product(rows, columns))

    def last_needed(self, row: int) -> int:
        """The last row of cells that tiles of a row cover."""
        return max(at for at in range(len(self.ys)) if self.ys[at] < self.ys[row] + self.tile[0])


def make_grid(shape: tuple[int, int], tile: tuple[int, int], overlap: float) -> Grid:
    """The grid of tiles that prediction lays over an image of `shape`, evenly spread.

    >>> make_grid((100, 60), (64, 64), 0.25).ys
    (0, 36)
    """
    sides = [tile_starts(size, side, round(side * overlap)) for size, side in zip(shape, tile, strict=True)]
    return Grid(shape, tile, sides[0], sides[1])


@dataclass(frozen=True, eq=False)
class Cells:
    """Probabilities (K, h, w), 0 to 255, of the cells of a grid, in a folder; each file is whole or absent.

    A cell without a file has nothing in it.
    """

    folder: Path
    grid: Grid
    outputs: int
    _held: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    def path(self, row: int, column: int) -> Path:
        """The file of a cell."""
        return self.folder / "cells" / f"{row}-{column}.npz"

    def has(self, row: int, column: int) -> bool:
        """Whether a cell is done."""
        return self.path(row, column).is_file()

    def write(self, row: int, column: int, probability: NDArray[np.uint8]) -> None:
        """Keep a cell."""
        with whole_file(self.path(row, column)) as beside, beside.open("wb") as handle:
            np.savez_compressed(handle, probability=probability)

    def read(self, row: int, column: int) -> NDArray[np.uint8] | None:
        """A cell (K, h, w), or None where nothing is in it. Raises RunError where its file is damaged."""
        key = row, column
        if key in self._held:
            return self._held[key]
        path = self.path(row, column)
        if not path.is_file():
            return None
        try:
            found = np.asarray(load_array(path, "probability"), np.uint8)
        except (OSError, ImageError) as error:
            raise RunError(f"{path}: cannot be read ({error}); remove it, then --resume") from error
        self._held[key] = found
        if len(self._held) > HELD:
            del self._held[next(iter(self._held))]
        return found

    def level_counts(self) -> NDArray[np.int64]:
        """How many pixels of each output have each level (K, 256); in empty cells all have 0."""
        counts = np.zeros((self.outputs, 256), np.int64)
        for row, column in self.grid.places():
            cell = self.read(row, column)
            if cell is not None:
                counts += level_counts(cell)
        counts[:, 0] += self.grid.shape[0] * self.grid.shape[1] - counts.sum(1)
        return counts

    def window(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8] | None:
        """A window (K, y1 - y0, x1 - x0) of the working image; None where nothing is in any of its cells."""
        out: NDArray[np.uint8] | None = None
        for row, column in itertools.product(
            _touched((*self.grid.ys, self.grid.shape[0]), y0, y1),
            _touched((*self.grid.xs, self.grid.shape[1]), x0, x1),
        ):
            cell = self.read(row, column)
            if cell is None:
                continue
            out = np.zeros((self.outputs, y1 - y0, x1 - x0), np.uint8) if out is None else out
            top, bottom, left, right = self.grid.cell_box(row, column)
            a, b, c, d = max(top, y0), min(bottom, y1), max(left, x0), min(right, x1)
            out[:, a - y0 : b - y0, c - x0 : d - x0] = cell[:, a - top : b - top, c - left : d - left]
        return out


def _touched(bounds: tuple[int, ...], low: int, high: int) -> list[int]:
    return [at for at in range(len(bounds) - 1) if bounds[at] < high and bounds[at + 1] > low]


def open_cells(folder: Path, grid: Grid, outputs: int, made_from: Mapping[str, Any]) -> Cells:
    """The cells in a folder, begun or gone on with. Raises RunError where they are of something else."""
    path = folder / "made_from.json"
    if path.is_file():
        if read_json(path) != made_from:
            raise RunError(
                f"{folder}: was begun with another run or image, or these have changed; "
                "name a new folder with --out"
            )
    else:
        write_json(path, made_from)
    return Cells(folder, grid, outputs)


def forget_cells(folder: Path) -> None:
    """Remove all that was kept of huge images."""
    shutil.rmtree(folder, ignore_errors=True)
