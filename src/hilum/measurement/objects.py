"""Numbered objects of a label image: each whole number but 0 is one object, wherever its pixels lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.spacing import Spacing
from hilum.measurement.regions import Region, region_of

LARGEST = 2**53


@dataclass
class Objects:
    """Sums over the objects of a label image of `shape` (Y, X) or (Z, Y, X), added part by part."""

    shape: tuple[int, ...]
    _parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)

    def add(self, corner: tuple[int, ...], labels: NDArray[Any]) -> None:
        """Add a part of the image whose first pixel lies at `corner`.

        Raises ImageError for numbers that are not whole or below 0.
        """
        inside = np.flatnonzero(labels)
        if not len(inside):
            return
        values = labels.ravel()[inside]
        if values.min() < 0 or values.max() > LARGEST or (values.dtype.kind == "f" and (values % 1).any()):
            raise ImageError(
                f"numbers of objects are whole and from 1 on; found {values.min()} to {values.max()}"
            )
        numbers, places = np.unique(values.astype(np.int64), return_inverse=True)
        at = np.unravel_index(inside, labels.shape)
        dims, count = labels.ndim, len(numbers)
        sums = np.zeros((count, 1 + 3 * dims), np.int64)
        sums[:, 0] = np.bincount(places, minlength=count)
        for axis in range(dims):
            where = at[axis] + corner[axis]
            sums[:, 1 + axis] = np.bincount(places, weights=where, minlength=count)
            low, high = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
            np.minimum.at(low, places, where)
            np.maximum.at(high, places, where + 1)
            sums[:, 1 + dims + axis], sums[:, 1 + 2 * dims + axis] = low, high
        self._parts.append((numbers, sums))

    def regions(self, spacing: Spacing) -> tuple[list[int], list[Region]]:
        """The numbers of the objects in order, and what each measures."""
        if not self._parts:
            return [], []
        dims = len(self.shape)
        stacked = np.concatenate([sums for _, sums in self._parts])
        numbers, places = np.unique(np.concatenate([own for own, _ in self._parts]), return_inverse=True)
        total = np.zeros((len(numbers), stacked.shape[1]), np.int64)
        total[:, 1 + dims : 1 + 2 * dims] = np.iinfo(np.int64).max
        for column in range(stacked.shape[1]):
            low = 1 + dims <= column < 1 + 2 * dims
            join = np.add if column <= dims else np.minimum if low else np.maximum
            join.at(total[:, column], places, stacked[:, column])
        return numbers.tolist(), [self._region(row, spacing) for row in total.tolist()]

    def _region(self, row: list[int], spacing: Spacing) -> Region:
        dims, pixels = len(self.shape), row[0]
        centroid = tuple(value / pixels for value in row[1 : 1 + dims])
        low, high = tuple(row[1 + dims : 1 + 2 * dims]), tuple(row[1 + 2 * dims :])
        return region_of(spacing, self.shape, pixels, centroid, low, high)
