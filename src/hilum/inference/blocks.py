"""Networks applied to images of any size, tile by tile, with everything finished kept on disk.

The tiles, their overlap and their blending are those of `hilum.inference.predictor`, so that the result
equals that of the whole image. Tiles on empty glass are left out; interrupted work goes on where it was.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import HilumError, ImageError
from hilum.image.arrays import load_array
from hilum.image.freed import give_back
from hilum.image.tiles import blend_window
from hilum.inference.cells import Cells, Grid, make_grid
from hilum.inference.predictor import Predictor, quantised
from hilum.planning.plan import Plan
from hilum.planning.rules import TILE
from hilum.training.windows import WorkingImage

logger = logging.getLogger(__name__)
HELD = 6
TOLD_EVERY_S = 30.0


@dataclass(frozen=True)
class Progress:
    """What a prediction came to: cells in all, those with tissue, seconds."""

    cells: int
    with_tissue: int
    seconds: float


def grid_of(shape: tuple[int, int], plan: Plan) -> Grid:
    """The tiles of a huge image: those of the plan, or of 768 pixels where it takes images whole."""
    tile = plan.inference.tile or [TILE, TILE]
    return make_grid(shape, (int(tile[-2]), int(tile[-1])), plan.inference.overlap)


def for_blocks(predictor: Predictor) -> Predictor:
    """The predictor for single tiles: a tile is a whole image to it."""
    plan = predictor.plan.model_copy(deep=True)
    plan.inference.tile, plan.inference.tiles = None, None
    return replace(predictor, plan=plan)


def predict_blocks(predictor: Predictor, image: WorkingImage, cells: Cells) -> Progress:
    """Predict every cell with tissue that is not done yet; each is kept on disk once it is known."""
    started, grid = time.perf_counter(), cells.grid
    needed = {place for place in grid.places() if image.has_tissue(*grid.tile_box(*place))}
    wanted = [place for place in grid.places() if any(tile in needed for tile in grid.covering(*place))]
    done = {place for place in wanted if cells.has(*place)}
    tiles = _Tiles(for_blocks(predictor), image, cells.folder / "tiles", grid)
    if done:
        logger.info("%d of %d blocks were done already", len(done), len(wanted))
    spoken, count = started, 0
    for row, column in wanted:
        if (row, column) not in done:
            covering = [place for place in grid.covering(row, column) if place in needed]
            cells.write(row, column, quantised(_blended(grid, (row, column), covering, tiles, cells.outputs)))
            count += 1
            if time.perf_counter() - spoken > TOLD_EVERY_S:
                spoken = time.perf_counter()
                _tell(count, len(wanted) - len(done), spoken - started)
        tiles.forget_before(row)
        if column == 0:
            give_back()
    tiles.forget_before(len(grid.ys))
    return Progress(len(grid.places()), len(wanted), time.perf_counter() - started)


def _tell(count: int, of: int, seconds: float) -> None:
    left = seconds / count * (of - count)
    logger.info("block %d of %d, %.0f min left", count, of, left / 60)


def _blended(
    grid: Grid, place: tuple[int, int], covering: list[tuple[int, int]], tiles: _Tiles, outputs: int
) -> NDArray[np.float32]:
    """Probabilities (K, h, w) of a cell: the tiles that cover it, weighted smoothly towards their borders."""
    if len(grid.ys) == len(grid.xs) == 1:
        return np.asarray(tiles.get(place).numpy(), np.float32)
    top, bottom, left, right = grid.cell_box(*place)
    total = torch.zeros(outputs, bottom - top, right - left)
    weight = torch.zeros(bottom - top, right - left)
    for one in covering:
        y0, y1, x0, x1 = grid.tile_box(*one)
        a, b, c, d = max(top, y0), min(bottom, y1), max(left, x0), min(right, x1)
        if a >= b or c >= d:
            continue
        inside = slice(a - y0, b - y0), slice(c - x0, d - x0)
        there = slice(a - top, b - top), slice(c - left, d - left)
        window = torch.from_numpy(blend_window((y1 - y0, x1 - x0)))[inside]
        total[(slice(None), *there)] += tiles.get(one)[(slice(None), *inside)] * window
        weight[there] += window
    blended = torch.where(weight > 0, total / weight.clamp(min=1e-30), 0.0)
    return np.asarray(blended.numpy(), np.float32)


@dataclass
class _Tiles:
    """Probabilities (K, h, w) of tiles, computed when first asked for, on disk while they are needed."""

    predictor: Predictor
    image: WorkingImage
    folder: Path
    grid: Grid
    held: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    forgotten: int = 0

    def get(self, place: tuple[int, int]) -> Tensor:
        if place not in self.held:
            found = self._stored(place)
            self.held[place] = self._computed(place) if found is None else found
            if len(self.held) > HELD:
                del self.held[next(iter(self.held))]
        return self.held[place]

    def _path(self, place: tuple[int, int]) -> Path:
        return self.folder / f"{place[0]}-{place[1]}.npy"

    def _stored(self, place: tuple[int, int]) -> Tensor | None:
        """A tile that was kept; None where there is none, or none that is whole."""
        try:
            return torch.from_numpy(load_array(self._path(place)))
        except (OSError, ImageError):
            return None

    def _computed(self, place: tuple[int, int]) -> Tensor:
        probability = self.predictor.prepared(self.image.window(*self.grid.tile_box(*place)))
        self._keep(place, probability)
        return torch.from_numpy(probability)

    def _keep(self, place: tuple[int, int], probability: NDArray[np.float32]) -> None:
        """Kept without waiting for the disk: a tile that is lost with the power is computed again."""
        path = self._path(place)
        beside = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as handle:
                np.save(handle, probability, allow_pickle=False)
            beside.replace(path)
        except OSError as error:
            raise HilumError(f"{path}: cannot be written ({error.strerror}); free some room") from error

    def forget_before(self, row: int) -> None:
        """Remove the tiles of rows that no cell from `row` on is covered by."""
        while self.forgotten < row and self.grid.last_needed(self.forgotten) < row:
            for path in self.folder.glob(f"{self.forgotten}-*.npy"):
                path.unlink(missing_ok=True)
            self.forgotten += 1
