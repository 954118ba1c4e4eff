"""Images and masks made visible: 8-bit RGB for the screen, colours of targets, outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.image import Image
from hilum.image.readers import expand_palette

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
_LOW, _HIGH = 0.5, 99.5
_SAMPLE = 1_000_000


@dataclass(frozen=True)
class Colour:
    """A named colour, "#rrggbb" and as (r, g, b) from 0 to 255."""

    name: str
    hex: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.hex[1:])
        return red, green, blue


# Okabe and Ito's colours for all kinds of sight (https://jfly.uni-koeln.de/color/), without black, in an
# order that keeps the first ones apart on pink tissue and on grey scans alike.
TARGET_COLOURS: tuple[Colour, ...] = (
    Colour("blue", "#0072b2"),
    Colour("orange", "#e69f00"),
    Colour("green", "#009e73"),
    Colour("vermilion", "#d55e00"),
    Colour("sky", "#56b4e9"),
    Colour("yellow", "#f0e442"),
    Colour("purple", "#cc79a7"),
)


def target_colour(index: int) -> Colour:
    """Colour of the target with this index; after seven they begin again.

    >>> target_colour(8).rgb
    (230, 159, 0)
    """
    return TARGET_COLOURS[index % len(TARGET_COLOURS)]


def to_display(
    image: Image, window: tuple[float, float] | None = None, index: int | None = None
) -> NDArray[np.uint8]:
    """RGB (Y, X, 3) uint8 of any image, for people to look at.

    8-bit RGB stays as it is. All else is stretched from `window` (low, high), or from the 0.5th to the
    99.5th percentile of its finite values, to 0 to 255; NaN becomes black, a constant image mid-grey.
    Two channels are shown in magenta and green, of more than three the first three. A volume shows plane
    `index`, its middle one by default. Raises ImageError where there is no such plane.
    """
    array = _plane(expand_palette(image), index)
    if window is None and array.dtype == np.uint8 and len(array) == 3:
        return np.ascontiguousarray(np.moveaxis(array, 0, -1))
    shared = len(array) == 3
    windows = [window or _window(array if shared else channel) for channel in array[:3]]
    stretched = [_stretch(channel, *limits) for channel, limits in zip(array[:3], windows, strict=True)]
    order = {1: (0, 0, 0), 2: (0, 1, 0)}.get(len(stretched), (0, 1, 2))
    return np.stack([stretched[at] for at in order], axis=-1)


def outline(mask: NDArray[np.bool_], width: int = 1) -> NDArray[np.bool_]:
    """The rim of a mask (Y, X), `width` pixels wide and inside it; the border of the image is no rim.

    >>> int(outline(np.ones((5, 5), bool)).sum())
    0
    """
    from scipy import ndimage

    if mask.ndim != 2 or width < 1:
        raise ImageError(
            f"an outline needs a mask (Y, X) and a width from 1, not shape {mask.shape}, width {width}"
        )
    inside: NDArray[np.bool_] = np.asarray(mask, bool)
    if not inside.any():
        return np.zeros_like(inside)
    core: NDArray[np.bool_] = ndimage.binary_erosion(inside, iterations=width, border_value=1)
    return inside & ~core


def _plane(image: Image, index: int | None) -> NDArray[Any]:
    if image.array.ndim == 3:
        return image.array
    planes = image.array.shape[1]
    at = planes // 2 if index is None else index
    if not 0 <= at < planes:
        raise ImageError(f"{image.path or 'volume'}: has planes 0 to {planes - 1}, not {at}")
    plane: NDArray[Any] = image.array[:, at]
    return plane


def _window(array: NDArray[Any]) -> tuple[float, float]:
    """Percentiles of the finite values, from at most about a million of them."""
    values = array.reshape(-1)[:: max(1, array.size // _SAMPLE)]
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values, (_LOW, _HIGH))
    if low == high:
        low, high = values.min(), values.max()
    return float(low), float(high)


def _stretch(channel: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    values: NDArray[Any] = np.asarray(channel, np.float64 if channel.dtype.itemsize > 2 else np.float32)
    if not high > low:
        grey = np.where(values > low, 255, np.where(values < low, 0, 128))
        return np.where(np.isnan(values), 0, grey).astype(np.uint8)
    clipped = np.clip(np.where(np.isnan(values), low, values), low, high)
    scaled: NDArray[np.uint8] = np.round((clipped - low) * (255 / (high - low))).astype(np.uint8)
    return scaled
