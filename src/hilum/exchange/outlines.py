"""Outlines of regions along the edges of their pixels: polygons with holes whose area is that of the mask.

Vertices are corners of pixels, (0, 0) being the upper left corner of the image. Polygons are valid as the
OGC's Simple Features want them: rings never meet themselves, and pixels of a region that touch by a
corner alone lie in polygons of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int64]
Ints = NDArray[np.int64]
AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Outline:
    """One region: polygons, each an outer ring and its holes; rings (N, 2) are x, y, not closed."""

    number: int
    polygons: tuple[tuple[Ring, ...], ...]

    @property
    def area(self) -> float:
        """Pixels inside."""
        return float(sum(abs(ring_area(ring)) * (1 if at == 0 else -1) for at, ring in self._rings()))

    def _rings(self) -> Iterator[tuple[int, Ring]]:
        return ((at, ring) for polygon in self.polygons for at, ring in enumerate(polygon))


def ring_area(ring: NDArray[Any]) -> float:
    """Signed area of a ring (N, 2) of x, y; positive where it runs clockwise on the screen (y downwards).

    >>> ring_area(np.array([[0, 0], [2, 0], [2, 3], [0, 3]]))
    6.0
    """
    x, y = (ring[:, axis].astype(np.float64) - float(ring[0, axis]) for axis in (0, 1))
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@dataclass
class Outliner:
    """Collects the corners of a mask of `shape` (Y, X) block by block, and makes outlines of them.

    Blocks come row by row from left to right, with provisional region numbers as `Stitcher.add` gives them.
    """

    shape: tuple[int, int]
    _found: list[Ints] = field(default_factory=list)
    _above: Ints = field(init=False)
    _below: Ints = field(init=False)
    _left: Ints | None = None

    def __post_init__(self) -> None:
        self._above, self._below = (np.zeros(self.shape[1] + 1, np.int64) for _ in range(2))

    def add(self, y: int, x: int, size: tuple[int, int], labels: Ints | None) -> None:
        """Add a block of `size` (h, w) at row `y` and column `x`; its `labels` are None where it is empty."""
        height, width = size
        own = np.zeros(size, np.int64) if labels is None else labels
        left = np.zeros(height, np.int64) if x == 0 or self._left is None else self._left
        above = self._above[x : x + width + 1]
        last = x + width == self.shape[1], y + height == self.shape[0]
        if labels is not None or above.any() or left.any():
            padded = np.zeros((height + 1 + last[1], width + 1 + last[0]), np.int64)
            padded[1 : height + 1, 1 : width + 1] = own
            padded[0, : width + 1], padded[1 : height + 1, 0] = above, left
            self._found.append(_corners(padded, y, x))
        self._left = own[:, -1].copy()
        self._below[x + 1 : x + width + 1] = own[-1]
        if last[0]:
            self._above, self._below = self._below, np.zeros_like(self._above)

    def outlines(self, final_numbers: Ints) -> Iterator[Outline]:
        """The outline of each region in order; `final_numbers` as `Stitcher.final_numbers` gives them."""
        found = np.concatenate(self._found) if self._found else np.zeros((0, 6), np.int64)
        found[:, 0] = final_numbers[found[:, 0]]
        found = found[np.argsort(found[:, 0], kind="stable")]
        starts = np.flatnonzero(np.diff(found[:, 0], prepend=-1))
        begin = 0
        for end in [*starts[1:].tolist(), len(found)]:
            if end - begin >= AT_ONCE or end == len(found):
                yield from _traced(found[begin:end])
                begin = end


def _corners(padded: Ints, y: int, x: int) -> Ints:
    """Corners in a padded block: rows of region, y, x, goes right, goes down, and region lies below."""
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    a, b, c, d = nw > 0, ne > 0, sw > 0, se > 0
    left, right, up, down = a != c, b != d, a != b, c != d
    label = np.maximum(np.maximum(nw, ne), np.maximum(sw, se))
    plain = (left != right) & (up != down)
    found = [_taken(label, (y, x), plain, right, down, np.where(right, d, c))]
    # pixels that touch by a corner alone: each keeps its own corner
    yes, no = np.ones_like(a), np.zeros_like(a)
    falling, rising = a & d & ~b & ~c, b & c & ~a & ~d
    found += [_taken(label, (y, x), falling, *takes) for takes in ((no, no, no), (yes, yes, yes))]
    found += [_taken(label, (y, x), rising, *takes) for takes in ((yes, no, no), (no, yes, yes))]
    return np.concatenate(found)


def _taken(
    label: Ints,
    origin: tuple[int, int],
    where: NDArray[np.bool_],
    goes_right: NDArray[np.bool_],
    goes_down: NDArray[np.bool_],
    below: NDArray[np.bool_],
) -> Ints:
    rows, columns = np.nonzero(where)
    parts = (
        label[rows, columns],
        rows + origin[0],
        columns + origin[1],
        goes_right[rows, columns],
        goes_down[rows, columns],
        below[rows, columns],
    )
    return np.stack([np.asarray(part, np.int64) for part in parts], axis=1)


def _traced(corners: Ints) -> Iterator[Outline]:
    """Outlines of whole regions from their corners, sorted by region."""
    region, y, x, right, down, below = corners.T
    along = _partners(np.lexsort((right, x, y, region)))
    across = _partners(np.lexsort((down, y, x, region)))
    rings: dict[int, list[Ring]] = {}
    for ring in _cycles(np.flatnonzero(right & below), along, across):
        points = np.stack([x[ring], y[ring]], axis=1)
        rings.setdefault(int(region[ring[0]]), []).extend(_simple(points))
    for number, own in rings.items():
        yield Outline(number, _polygons(own))


def _partners(order: Ints) -> Ints:
    """Of corners in this order each two are joined by an edge."""
    partner = np.empty(len(order), np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def _cycles(starts: Ints, along: Ints, across: Ints) -> Iterator[list[int]]:
    """Closed rings of corners, walked with the region on the right hand."""
    seen = bytearray(len(along))
    next_along, next_across = along.tolist(), across.tolist()
    for start in starts.tolist():
        if seen[start]:
            continue
        ring: list[int] = []
        at = start
        while not seen[at]:
            other = next_along[at]
            seen[at] = seen[other] = 1
            ring += (at, other)
            at = next_across[other]
        yield ring


def _simple(points: Ring) -> list[Ring]:
    """A ring taken apart where it meets itself."""
    keys = [(px, py) for px, py in points.tolist()]
    if len(set(keys)) == len(keys):
        return [points]
    parts: list[Ring] = []
    walked: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for key in keys:
        if key in place:
            begin = place[key]
            parts.append(np.array(walked[begin:], np.int64))
            for gone in walked[begin + 1 :]:
                del place[gone]
            del walked[begin + 1 :]
        else:
            place[key] = len(walked)
            walked.append(key)
    return [*parts, np.array(walked, np.int64)]


def _polygons(rings: Sequence[Ring]) -> tuple[tuple[Ring, ...], ...]:
    """Outer rings, each with the holes in it."""
    areas = [ring_area(ring) for ring in rings]
    outer = sorted((at for at in range(len(rings)) if areas[at] > 0), key=lambda at: areas[at])
    holes: dict[int, list[Ring]] = {at: [] for at in outer}
    for at, ring in enumerate(rings):
        if areas[at] < 0:
            point = _beside(ring)
            owner = next((one for one in outer if len(outer) == 1 or _contains(rings[one], point)), outer[-1])
            holes[owner].append(ring)
    return tuple((rings[at], *holes[at]) for at in sorted(outer))


def _beside(hole: Ring) -> tuple[float, float]:
    """The centre of a pixel of the region that lies along a hole: below an edge walked to the right."""
    step = np.roll(hole, -1, axis=0) - hole
    at = int(np.flatnonzero(step[:, 0] > 0)[0])
    return float(hole[at, 0]) + 0.5, float(hole[at, 1]) + 0.5


def _contains(ring: Ring, point: tuple[float, float]) -> bool:
    """Whether a point lies in a ring of horizontal and vertical edges."""
    x, y = ring[:, 0], ring[:, 1]
    other = np.roll(y, -1)
    upright = x == np.roll(x, -1)
    crossed = upright & (np.minimum(y, other) < point[1]) & (point[1] < np.maximum(y, other)) & (x < point[0])
    return bool(np.count_nonzero(crossed) % 2)
