"""Images too large for memory, looked at tile by tile from their pyramids."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.image.pyramid import Pyramid, is_huge, open_pyramid
from hilum.studio.pictures import TILE, Pixels, Window, levels, png, shown
from hilum.study.study import Case

OPEN = 2
PAINTED_PIXELS = 64_000_000


@dataclass
class Slides:
    """The slides looked at last, open for reading; one read at a time."""

    held: OrderedDict[Path, Pyramid] = field(default_factory=OrderedDict)
    known: dict[Path, bool] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_slide(self, case: Case) -> bool:
        """Whether a case is a whole image too large to be painted, and read window by window."""
        path = case.image.path
        if case.image.entry is not None or case.image.index is not None:
            return False
        if path not in self.known:
            self.known[path] = is_huge(path) and _pixels(path) > PAINTED_PIXELS
        return self.known[path]

    def describe(self, case: Case) -> dict[str, Any]:
        """Shape, type and spacing of a slide, and the window it opens with."""
        with self.lock:
            pyramid = self._open(case.image.path)
            plain = pyramid.dtype == np.uint8
            high = 255.0 if plain else float(_shrunk(pyramid, (64, 64)).max())
            return {
                "shape": list(pyramid.shape),
                "channels": pyramid.channels,
                "kind": str(pyramid.dtype),
                "spacing": list(pyramid.spacing.sizes) if pyramid.spacing.known else None,
                "unit": pyramid.spacing.unit,
                "window": None if plain and pyramid.channels == 3 else [0.0, high],
                "range": [0.0, high],
            }

    def tile(self, case: Case, level: int, row: int, column: int, window: Window | None) -> bytes:
        """A tile of 512 pixels at 1/2^level as PNG. Raises HilumError where there is none."""
        with self.lock:
            pyramid = self._open(case.image.path)
            return png(shown(_part(pyramid, level, row, column), window))

    def window(self, case: Case, y: int, x: int, side: int) -> tuple[Image, int, int]:
        """A square window at full resolution with its spacing, moved inside the slide; its row and column."""
        with self.lock:
            pyramid = self._open(case.image.path)
            height, width = pyramid.shape
            top, left = max(0, min(y, height - side)), max(0, min(x, width - side))
            values = pyramid.read_window(top, left, min(side, height), min(side, width))
            return Image(values, pyramid.spacing), top, left

    def thumbnail(self, case: Case, side: int) -> Pixels:
        """The slide as a small picture (Y, X, 3)."""
        with self.lock:
            pyramid = self._open(case.image.path)
            scale = side / max(pyramid.shape)
            shape = (max(1, round(pyramid.shape[0] * scale)), max(1, round(pyramid.shape[1] * scale)))
            values = _shrunk(pyramid, shape)
        values = np.rint(values).astype(np.uint8) if pyramid.dtype == np.uint8 else values
        return shown(values, Window(0.0, 255.0) if pyramid.dtype == np.uint8 else None)

    def _open(self, path: Path) -> Pyramid:
        if path not in self.held:
            self.held[path] = open_pyramid(path)
        self.held.move_to_end(path)
        while len(self.held) > OPEN:
            self.held.popitem(last=False)[1].close()
        return self.held[path]


def _pixels(path: Path) -> int:
    with open_pyramid(path) as pyramid:
        return pyramid.pixels


def _shrunk(pyramid: Pyramid, shape: tuple[int, int]) -> NDArray[np.float32]:
    from hilum.image.thumbnail import shrunken

    return shrunken(pyramid, shape, pyramid.level_for(max(pyramid.shape[0] / shape[0], 1.0)))


def _part(pyramid: Pyramid, level: int, row: int, column: int) -> NDArray[Any]:
    """Pixels (C, Y, X) of a tile, from the level of the pyramid that is just fine enough."""
    from PIL import Image as Pillow

    height, width = pyramid.shape
    step = 2**level if 0 <= level < levels(pyramid.shape) else 0
    y, x = row * TILE * step, column * TILE * step
    if not step or not (0 <= y < height and 0 <= x < width):
        raise HilumError(f"there is no tile {row}, {column} at level {level}")
    bottom, right = min(y + TILE * step, height), min(x + TILE * step, width)
    at = pyramid.level_for(step)
    factors = [full / part for full, part in zip(pyramid.shape, pyramid.levels[at].shape, strict=True)]
    top, left = int(y / factors[0]), int(x / factors[1])
    most = pyramid.levels[at].shape
    rows, columns = min(round(bottom / factors[0]), most[0]), min(round(right / factors[1]), most[1])
    values = pyramid.read_window(top, left, max(1, rows - top), max(1, columns - left), at)
    size = (-(-(right - x) // step), -(-(bottom - y) // step))
    if values.shape[1:] == (size[1], size[0]):
        return values
    floats = [Pillow.fromarray(np.asarray(one, np.float32)) for one in values]
    resized = np.stack([np.asarray(one.resize(size, Pillow.Resampling.BOX)) for one in floats])
    return resized if values.dtype.kind == "f" else np.rint(resized).astype(values.dtype)
