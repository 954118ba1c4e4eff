"""Channels and orientation: what stands between stored samples and an array (C, Y, X)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.image.spacing import Spacing

TURNED = "turned as its orientation tag says"
TURNED_ASIDE = "turned to its side as its orientation tag says"


def channel_first(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous (C, Y, X) of an array (Y, X) or (Y, X, C).

    >>> channel_first(np.zeros((4, 5, 3), np.uint8)).shape
    (3, 4, 5)
    """
    return array[None] if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, -1, 0))


def drop_alpha(array: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """The colour of (C + 1, ...) without its last channel, and a note.

    Where the colour is one flat value and the alpha is not, the picture is drawn in the alpha, and that
    is returned (1, ...); so it is where the alpha is 0 throughout, as nothing was drawn.
    """
    colour, alpha = array[:-1], array[-1:]
    flat = all(bool((channel == channel.flat[0]).all()) for channel in colour)
    if flat and (not alpha.any() or bool((alpha != alpha.flat[0]).any())):
        return alpha, "the picture is in its alpha channel, which was read as grey"
    return colour, "an alpha channel was left out"


def cmyk_to_rgb(array: NDArray[Any]) -> NDArray[Any]:
    """RGB (3, ...) of the CMYK (4, ...) of an unsigned type, by multiplication, without a colour profile."""
    top = np.iinfo(array.dtype).max
    ink = 1 - array.astype(np.float32) / np.float32(top)
    return np.round(ink[:3] * ink[3:4] * np.float32(top)).clip(0, top).astype(array.dtype)


def ycbcr_to_rgb(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB (3, ...) uint8 of full-range YCbCr (3, ...) uint8 as JFIF defines it."""
    luma, blue, red = array.astype(np.float32) - np.array([0, 128, 128], np.float32).reshape(
        3, *[1] * (array.ndim - 1)
    )
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue])
    return np.round(rgb).clip(0, 255).astype(np.uint8)


def orient(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn (..., Y, X) as EXIF and TIFF orientation 1 to 8 ask, so that row 0 is the top of the picture.

    >>> orient(np.array([[1, 2], [3, 4]]), 6).tolist()
    [[3, 1], [4, 2]]
    """
    if orientation > 4:
        array = np.swapaxes(array, -1, -2)
    if orientation in (3, 4, 7, 8):
        array = array[..., ::-1, :]
    if orientation in (2, 3, 6, 7):
        array = array[..., ::-1]
    return np.ascontiguousarray(array)


def turned_note(orientation: int) -> str:
    """The note on an image that `orient` turned: TURNED_ASIDE where Y and X changed places, else TURNED."""
    return TURNED_ASIDE if orientation > 4 else TURNED


def turned(spacing: Spacing, orientation: int) -> Spacing:
    """The spacing (..., Y, X) after `orient`: Y and X change places for orientations 5 to 8."""
    if orientation <= 4:
        return spacing
    return Spacing((*spacing.sizes[:-2], spacing.sizes[-1], spacing.sizes[-2]), spacing.unit)
