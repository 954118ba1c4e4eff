"""Heat maps over images with their colour bar, and mosaics of feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from hilum.errors import ImageError
from hilum.image.colours import LUMINANCE
from hilum.reporting.lettering import font, shortened, text_size
from hilum.reporting.overlay import Pixels

Heat = NDArray[np.floating[Any]]
_INK, _SOFT = (20, 24, 28), (60, 66, 72)
# Blue lowers, vermilion raises: apart for all kinds of sight, and pale where nothing happens.
_SIGNED = ((0, 68, 136), (0, 114, 178), (235, 235, 235), (213, 94, 0), (150, 40, 0))
_ALPHA = 0.78


def heat_overlay(
    image_rgb: Pixels, heat: Heat, label: str = "", ends: tuple[str, str] = ("none", "most")
) -> Pixels:
    """Heat (Y', X') from 0 to 1 over the greyed image (Y, X, 3) uint8, with a colour bar below.

    The heat is stretched to the image, which lies at the top left of the result. Where there is no heat
    the image is seen bare. Raises ImageError for a heat map that is not (Y, X).
    """
    values = np.asarray(np.clip(_stretched(heat, image_rgb.shape[:2]), 0, 1), np.float32)
    painted = _blend(
        image_rgb, _coloured(values, "inferno"), np.asarray(np.sqrt(values) * _ALPHA, np.float32)
    )
    return _with_bar(painted, _coloured(np.linspace(0, 1, 256)[None], "inferno")[0], label, ends)


def signed_overlay(image_rgb: Pixels, values: Heat, label: str = "", unit: str = "") -> Pixels:
    """Values (Y', X') above zero in vermilion, below in blue, over the greyed image (Y, X, 3) uint8.

    The colour bar reaches as far as the largest value in either direction. Raises ImageError as above.
    """
    values = _stretched(values, image_rgb.shape[:2])
    most = max(float(np.abs(values).max()), 1e-6)
    share = values / most
    painted = _blend(image_rgb, _signed(share), np.sqrt(np.abs(share)) * _ALPHA)
    shown = f"{most:.2f}" if most >= 0.01 else f"{most:.1g}"
    ends = (f"−{shown}{unit}", f"+{shown}{unit}")
    return _with_bar(painted, _signed(np.linspace(-1, 1, 256)[None])[0], label, ends)


def mosaic(
    maps: NDArray[np.floating[Any]], names: Sequence[str], title: str = "", width: int = 1200
) -> Pixels:
    """Maps (C, Y, X) side by side, each scaled by itself from its 1st to its 99th percentile.

    A channel that is the same everywhere is shown in the darkest colour. About `width` pixels wide.
    """
    columns = _columns(len(maps), maps.shape[1] / maps.shape[2])
    gap = max(4, width // 200)
    cell = max(40, width // columns - gap)
    small = [_coloured(_scaled(channel), "viridis") for channel in _fitted(maps, cell)]
    high, size = small[0].shape[0], max(10, min(14, cell // 6))
    head, line = (round(2.4 * 14) if title else gap), high + round(1.6 * size) + gap // 2
    whole = max(columns * (cell + gap) + gap, width)
    canvas = Pillow.new("RGB", (whole, head + -(-len(small) // columns) * line), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((gap, 8), shortened(title, 14, whole - 2 * gap), fill=_INK, font=font(14, bold=True))
    for place, (name, picture) in enumerate(zip(names, small, strict=True)):
        x, y = gap + place % columns * (cell + gap), head + place // columns * line
        canvas.paste(Pillow.fromarray(picture), (x, y))
        draw.text((x, y + high + 2), shortened(name, size, cell), fill=_SOFT, font=font(size))
    return np.asarray(canvas)


def _columns(count: int, ratio: float) -> int:
    """So many that the whole is about as wide as twice its height, 16 at most."""
    return max(1, min(count, 16, math.ceil(math.sqrt(2 * count * ratio))))


def _fitted(maps: NDArray[np.floating[Any]], width: int) -> list[NDArray[np.float32]]:
    """Maps at that width; large ones are averaged before they are coloured, so that no colour is made up."""
    size = (width, max(1, round(maps.shape[1] * width / maps.shape[2])))
    method = Pillow.Resampling.BOX if maps.shape[2] > width else Pillow.Resampling.NEAREST
    return [_resized(channel, size, method) for channel in maps]


def _scaled(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(channel, (1, 99))
    if not high > low:
        low, high = channel.min(), channel.max()
    return np.asarray(np.clip((channel - low) / max(float(high - low), 1e-12), 0, 1), np.float32)


def _stretched(values: Heat, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if values.ndim != 2 or values.size == 0:
        raise ImageError(f"a heat map must be (Y, X), not {values.shape}")
    if values.shape == tuple(shape):
        return np.asarray(values, np.float32)
    method = Pillow.Resampling.BOX if values.shape[0] > shape[0] else Pillow.Resampling.BILINEAR
    return _resized(values, (shape[1], shape[0]), method)


def _resized(values: Heat, size: tuple[int, int], method: Pillow.Resampling) -> NDArray[np.float32]:
    plane = Pillow.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(plane.resize(size, method), np.float32)


def _blend(image_rgb: Pixels, colours: Pixels, alpha: NDArray[np.float32]) -> Pixels:
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise ImageError(f"a heat map needs an image (Y, X, 3) of uint8, not {image_rgb.shape}")
    grey = (image_rgb.astype(np.float32) @ np.array(LUMINANCE, np.float32))[..., None]
    share = alpha.astype(np.float32)[..., None]
    return np.asarray((1 - share) * grey + share * colours + 0.5, np.uint8)


@lru_cache(maxsize=4)
def _table(name: str) -> NDArray[np.uint8]:
    import matplotlib as mpl

    return np.asarray(mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255 + 0.5, np.uint8)


def _coloured(values: Heat, name: str) -> Pixels:
    return _table(name)[np.asarray(values * 255 + 0.5, np.uint8)]


def _signed(share: Heat) -> Pixels:
    steps = np.linspace(-1, 1, len(_SIGNED))
    planes = [np.interp(share, steps, [colour[part] for colour in _SIGNED]) for part in range(3)]
    return np.asarray(np.stack(planes, -1) + 0.5, np.uint8)


def _with_bar(picture: Pixels, bar: Pixels, label: str, ends: tuple[str, str]) -> Pixels:
    """A strip below: what is shown, and the colours with what their ends mean."""
    height, width = picture.shape[:2]
    size = max(12, round(max(height, width) / 60))
    left, right = (text_size(text, size)[0] for text in ends)
    thin = max(40, min(width // 3, 12 * size))
    scale = left + right + thin + 2 * size
    whole = max(width, scale + size)
    beside = text_size(label, size, bold=True)[0] + scale + 2 * size <= whole
    lines = 1 if beside or not label else 2
    canvas = Pillow.new("RGB", (whole, height + round((1.7 * lines + 0.5) * size)), "white")
    canvas.paste(Pillow.fromarray(picture), (0, 0))
    draw, y = ImageDraw.Draw(canvas), height + round(0.45 * size)
    text = shortened(label, size, whole - size if lines == 2 else whole)
    draw.text((size // 2, y), text, fill=_INK, font=font(size, bold=True))
    y += round(1.7 * size) * (lines - 1)
    x = whole - scale if beside and label else size // 2
    draw.text((x, y), ends[0], fill=_SOFT, font=font(size))
    x += left + size // 2
    strip = Pillow.fromarray(bar[None]).resize((thin, round(0.9 * size)), Pillow.Resampling.BILINEAR)
    canvas.paste(strip, (x, y + size // 6))
    draw.rectangle((x, y + size // 6, x + thin - 1, y + size // 6 + round(0.9 * size) - 1), outline=_SOFT)
    draw.text((x + thin + size // 2, y), ends[1], fill=_SOFT, font=font(size))
    return np.asarray(canvas)
