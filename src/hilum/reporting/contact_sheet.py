"""Contact sheets: many small pictures with their names in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from hilum.reporting.lettering import font, shortened, text_size
from hilum.reporting.overlay import Pixels
from hilum.reporting.thumbnails import as_rgb, png_bytes

_INK, _SOFT, _FRAME = (23, 35, 43), (82, 97, 107), (236, 240, 241)


def contact_sheet(
    pictures: Sequence[tuple[str, NDArray[Any]]],
    *,
    title: str = "",
    columns: int = 6,
    side: int = 180,
) -> bytes:
    """A grid of named pictures (Y, X) or (Y, X, 3) uint8 as PNG, each fitted into `side` pixels."""
    return png_bytes(sheet(pictures, title=title, columns=columns, side=side))


def sheet(
    pictures: Sequence[tuple[str, NDArray[Any]]], *, title: str = "", columns: int = 6, side: int = 180
) -> Pixels:
    """The contact sheet as pixels (Y, X, 3); names too long for their cell are cut in the middle."""
    size, gap = max(12, side // 14), max(6, side // 18)
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns) if pictures else 1
    head = round(2.6 * size) if title else gap
    cell = side + round(1.5 * size) + gap
    width = max(columns * (side + gap) + gap, text_size(title, round(1.3 * size), bold=True)[0] + 2 * gap)
    canvas = Pillow.new("RGB", (width, head + rows * cell + gap // 2), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((gap, size // 2), title, fill=_INK, font=font(round(1.3 * size), bold=True))
    if not pictures:
        draw.text((gap, head), shortened("No pictures", size, width - gap), fill=_SOFT, font=font(size))
    for place, (name, picture) in enumerate(pictures):
        x, y = gap + place % columns * (side + gap), head + place // columns * cell
        _place(canvas, draw, picture, (x, y), side)
        draw.text((x, y + side + size // 4), shortened(name, size, side), fill=_SOFT, font=font(size))
    return np.asarray(canvas)


def _place(
    canvas: Pillow.Image, draw: ImageDraw.ImageDraw, picture: NDArray[Any], at: tuple[int, int], side: int
) -> None:
    x, y = at
    draw.rectangle((x, y, x + side - 1, y + side - 1), fill=_FRAME)
    pixels = as_rgb(picture)
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    method = Pillow.Resampling.NEAREST if scale > 2 else Pillow.Resampling.LANCZOS
    small = Pillow.fromarray(pixels).resize(size, method)
    canvas.paste(small, (x + (side - size[0]) // 2, y + (side - size[1]) // 2))
