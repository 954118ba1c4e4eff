"""Connected regions of a mask that comes block by block, joined across the blocks' borders.

The result equals `measure_regions` of the whole mask, whatever the blocks: provisional regions of each
block are joined by union-find, and only whole numbers are added up before anything is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.errors import HilumError
from hilum.image.spacing import Spacing
from hilum.measurement.regions import Region, region_of

Ints = NDArray[np.int64]
_CORNERS = np.ones((3, 3), bool)
_CROSS = ndimage.generate_binary_structure(2, 1)


@dataclass
class Stitcher:
    """Regions of a mask of `shape` (Y, X), whose blocks are added row by row, each row from left to right.

    Blocks of one row have the same rows of the mask. With `corners` pixels that touch by a corner belong
    together, as in `measure_regions`.
    """

    shape: tuple[int, int]
    corners: bool = True
    count: int = 0
    pixels: int = 0
    _stats: list[Ints] = field(default_factory=list)
    _joined: list[Ints] = field(default_factory=list)
    _above: Ints = field(init=False)
    _below: Ints = field(init=False)
    _left: Ints = field(init=False)
    _place: tuple[int, int, int] = (0, 0, 0)
    _any_probability: bool = False

    def __post_init__(self) -> None:
        self._above = np.zeros(self.shape[1] + 2, np.int64)
        self._below = np.zeros(self.shape[1] + 2, np.int64)
        self._left = np.zeros(0, np.int64)

    def add(
        self, y: int, x: int, mask: NDArray[np.bool_], probability: NDArray[Any] | None = None
    ) -> Ints | None:
        """Add the block (h, w) at row `y` and column `x`; its provisional numbers (h, w), None where empty.

        Numbers begin at 1, outside is 0; `final_numbers` says what becomes of them. `probability` is uint8
        with 255 for certainty. Raises HilumError for a block out of turn.
        """
        height, width = mask.shape
        self._begin(y, x, height, width)
        labels = None
        if mask.any():
            found, number = ndimage.label(mask, structure=_CORNERS if self.corners else _CROSS)
            labels = np.where(found > 0, found.astype(np.int64) + self.count, 0)
            self._stats.append(self._measured(found, number, y, x, probability))
            self._join(labels, x)
            self.count += number
            self.pixels += int(np.count_nonzero(mask))
        self._below[x + 1 : x + 1 + width] = 0 if labels is None else labels[-1]
        self._left = np.zeros(height, np.int64) if labels is None else labels[:, -1].copy()
        if x + width == self.shape[1]:
            self._above, self._below = self._below, np.zeros_like(self._above)
            self._place = (y + height, 0, 0)
        else:
            self._place = (y, x + width, height)
        return labels

    def _begin(self, y: int, x: int, height: int, width: int) -> None:
        fits = (y, x) == self._place[:2] and self._place[2] in (0, height)
        if not fits or y + height > self.shape[0] or x + width > self.shape[1] or min(height, width) < 1:
            raise HilumError(
                f"block {height} x {width} at {y}, {x} is out of turn: {self._place[0]}, {self._place[1]} of "
                f"{self.shape[0]} x {self.shape[1]} is next"
            )
        if x == 0:
            self._left = np.zeros(height, np.int64)

    def _measured(
        self, found: NDArray[Any], number: int, y: int, x: int, probability: NDArray[Any] | None
    ) -> Ints:
        """One row for each provisional region: pixels, sums of y, x and probability, box, first pixel."""
        inside = np.flatnonzero(found)
        label = found.ravel()[inside] - 1
        rows, columns = np.divmod(inside, found.shape[1])
        stats = np.zeros((number, 9), np.int64)
        stats[:, 0] = np.bincount(label, minlength=number)
        stats[:, 1] = _sums(label, rows, number) + stats[:, 0] * y
        stats[:, 2] = _sums(label, columns, number) + stats[:, 0] * x
        if probability is not None:
            self._any_probability = True
            stats[:, 3] = _sums(label, probability.ravel()[inside], number)
        boxes = ndimage.find_objects(found)
        stats[:, 4:8] = [(b[0].start + y, b[1].start + x, b[0].stop + y, b[1].stop + x) for b in boxes]
        first = np.full(number, -1, np.int64)
        first[label[::-1]] = inside[::-1]
        stats[:, 8] = (first // found.shape[1] + y) * self.shape[1] + first % found.shape[1] + x
        return stats

    def _join(self, labels: Ints, x: int) -> None:
        """Note which regions of this block touch regions to the left and above."""
        width = labels.shape[1]
        reach = (-1, 0, 1) if self.corners else (0,)
        pairs = [_touching(self._above[x + 1 + step : x + 1 + step + width], labels[0]) for step in reach]
        for step in reach:
            here = slice(max(0, -step), len(self._left) - max(0, step))
            there = slice(max(0, step), len(self._left) - max(0, -step))
            pairs.append(_touching(self._left[there], labels[here, 0]))
        self._joined += [pair for pair in pairs if len(pair)]

    def final_numbers(self) -> Ints:
        """For each provisional number, 0 included, the number of its region: 1 for the first, 0 outside."""
        return self._resolved()[0]

    def _resolved(self) -> tuple[Ints, Ints]:
        """Final numbers of provisional ones, and the added-up rows of the regions in order."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        if not self.count:
            return np.zeros(1, np.int64), np.zeros((0, 9), np.int64)
        stats = np.concatenate(self._stats)
        pairs = np.concatenate(self._joined) - 1 if self._joined else np.zeros((0, 2), np.int64)
        graph = coo_matrix(
            (np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (self.count, self.count)
        )
        number, part = connected_components(graph, directed=False)
        merged = np.zeros((number, 9), np.int64)
        merged[:, 4:6] = merged[:, 8:] = np.iinfo(np.int64).max
        for column in range(4):
            np.add.at(merged[:, column], part, stats[:, column])
        for column in (4, 5, 8):
            np.minimum.at(merged[:, column], part, stats[:, column])
        for column in (6, 7):
            np.maximum.at(merged[:, column], part, stats[:, column])
        order = np.argsort(merged[:, 8], kind="stable")
        rank = np.empty(number, np.int64)
        rank[order] = np.arange(1, number + 1)
        return np.concatenate([[0], rank[part]]), merged[order]

    def regions(self, spacing: Spacing) -> list[Region]:
        """The regions in the order of their first pixels, measured as `measure_regions` does."""
        merged = self._resolved()[1]
        means = merged[:, 3] / np.maximum(merged[:, 0], 1) / 255.0
        means = means if self._any_probability else np.full_like(means, np.nan)
        return [
            region_of(
                spacing,
                self.shape,
                pixels,
                (sum_y / pixels, sum_x / pixels),
                (top, left),
                (bottom, right),
                mean,
            )
            for (pixels, sum_y, sum_x, _, top, left, bottom, right, _), mean in zip(
                merged.tolist(), means.tolist(), strict=True
            )
        ]


def _sums(label: NDArray[Any], values: NDArray[Any], number: int) -> Ints:
    """Sums of whole numbers by label; exact, as they stay far below 2^53."""
    return np.bincount(label, weights=values, minlength=number).astype(np.int64)


def _touching(one: Ints, other: Ints) -> Ints:
    """Different pairs of regions at the same places, (N, 2)."""
    both = (one > 0) & (other > 0)
    return np.unique(np.stack([one[both], other[both]], axis=1), axis=0)
