"""One mask file read by its encoding: which pixels are inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import StudyError
from hilum.image.image import Image
from hilum.image.readers import expand_palette, read_mask
from hilum.study.colours import COLOUR_TOLERANCE
from hilum.study.study import Encoding, Source


def inside(image: Image, encoding: Encoding) -> NDArray[np.bool_]:
    """Pixels (Y, X) or (Z, Y, X) of a mask image that are inside, by its encoding.

    `image` comes from `open_mask` with the same encoding. Raises StudyError for an unknown encoding.
    """
    if encoding.kind == "threshold":
        return np.asarray(luminance(image) > encoding.value)
    if encoding.kind == "index":
        grey = image.array[0] if image.channels < 3 else np.rint(luminance(image))
        return np.isin(grey, (encoding.value, *encoding.others))
    if encoding.kind == "colour" and encoding.colour is not None:
        if image.channels < 3:
            return np.zeros(image.shape, bool)
        wanted = np.asarray(encoding.colour, np.int16).reshape(3, *([1] * len(image.shape)))
        return np.asarray((np.abs(image.array[:3].astype(np.int16) - wanted) <= COLOUR_TOLERANCE).all(axis=0))
    raise StudyError(f"{image.path}: how this mask says inside is {encoding}")


def open_mask(source: Source, encoding: Encoding) -> Image:
    """A mask file as its encoding needs it: indices for index masks, grey or colours otherwise."""
    image = read_mask(source.path, source.entry, source.index)
    return image if encoding.kind == "index" else expand_palette(image)


def luminance(image: Image) -> NDArray[Any]:
    """Grey values (Y, X) or (Z, Y, X) of an image: its only channel, or the mean of red, green and blue."""
    if image.channels < 3:
        return np.asarray(image.array[0])
    return np.asarray(image.array[:3].mean(axis=0, dtype=np.float32))
