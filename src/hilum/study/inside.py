"""One mask file read by its encoding: which pixels are inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError, StudyError
from hilum.image.image import Image
from hilum.image.readers import expand_palette, read_mask
from hilum.image.tiff_colours import CHANNELS
from hilum.study.colours import COLOUR_TOLERANCE, colour_of
from hilum.study.study import Encoding, Source

_STRAY = 1e-3


def inside(image: Image, encoding: Encoding) -> NDArray[np.bool_]:
    """Pixels (Y, X) or (Z, Y, X) of a mask image that are inside, by its encoding.

    `image` comes from `open_mask` with the same encoding. Raises StudyError for an unknown encoding.
    """
    if encoding.kind == "threshold":
        return inside_values(luminance(image), encoding)
    if encoding.kind == "index":
        return inside_values(image.array[0] if image.channels < 3 else np.rint(luminance(image)), encoding)
    if encoding.kind == "colour" and encoding.colour is not None:
        found = np.zeros(image.shape, bool)
        if image.channels >= 3:
            for colour in (encoding.colour, *map(colour_of, encoding.others)):
                wanted = np.asarray(colour, np.int16).reshape(3, *([1] * len(image.shape)))
                found |= (np.abs(image.array[:3].astype(np.int16) - wanted) <= COLOUR_TOLERANCE).all(axis=0)
        return found
    raise StudyError(f"{image.path}: how this mask says inside is {encoding}")


def inside_values(grey: NDArray[Any], encoding: Encoding) -> NDArray[np.bool_]:
    """Which grey values or indices are inside, by an encoding of kind "threshold" or "index"."""
    if encoding.kind == "index":
        return np.isin(settled(grey), (encoding.value, *encoding.others))
    return np.asarray(settled(grey) > encoding.value)


def settled(grey: NDArray[Any]) -> NDArray[Any]:
    """Values with those within 0.001 of a whole number as that number: scaled by a slope, labels stray so.

    >>> settled(np.array([1.0000153, 0.5, 2.0])).tolist()
    [1.0, 0.5, 2.0]
    """
    if grey.dtype.kind != "f":
        return grey
    whole = np.rint(grey)
    with np.errstate(invalid="ignore"):  # of infinite values the difference is NaN, and they stay
        return np.where(np.abs(grey - whole) <= _STRAY, whole, grey)


def open_mask(source: Source, encoding: Encoding) -> Image:
    """A mask file as its encoding needs it: indices for index masks, grey or colours otherwise.

    Raises ImageError as `read_channels` does.
    """
    image = read_channels(source)
    return image if encoding.kind == "index" else expand_palette(image)


def read_channels(source: Source) -> Image:
    """A mask file as stored, of one channel, of equal ones, or a colour picture.

    Raises ImageError where it cannot be read, or where its channels are targets or something else.
    """
    image = read_mask(source.path, source.entry, source.index)
    array = image.array
    picture = CHANNELS not in image.notes and _is_picture(array)
    if image.channels == 1 or picture or bool((array == array[:1]).all()):
        return image
    raise ImageError(
        f"{source}: holds {image.channels} channels of {array.dtype} that differ and are no colours; a mask "
        "needs one file a target, or one index a target in a single channel"
    )


def _is_picture(array: NDArray[Any]) -> bool:
    """Whether channels (C, ...) are RGB or RGBA of 8 or 16 bits, and not each pixel's class as 0 and 1."""
    if len(array) not in (3, 4) or array.dtype not in (np.uint8, np.uint16) or array.max() <= 1:
        return False
    return len(array) == 3 or bool((np.count_nonzero(array, axis=0) > 1).any())


def luminance(image: Image) -> NDArray[Any]:
    """Grey values (Y, X) or (Z, Y, X) of an image: its only channel, or the mean of red, green and blue."""
    if image.channels < 3:
        return np.asarray(image.array[0])
    return np.asarray(image.array[:3].mean(axis=0, dtype=np.float32))
