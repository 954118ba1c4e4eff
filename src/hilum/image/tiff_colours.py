"""What the samples of a TIFF page mean: grey, palette, RGB, CMYK, YCbCr, alpha, and which way is up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.channels import cmyk_to_rgb, drop_alpha, ycbcr_to_rgb
from hilum.image.limits import shown

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
_JPEG = (6, 7)
_ALPHA = (1, 2)
_CONTIGUOUS = 1
_ORIENTATION = 274

# pictures have 8 bits and a true alpha; more bits are measured, and so may the fourth channel be
FOURTH_LEFT_OUT = (
    "the fourth channel is marked as alpha and was left out; if it was measured, write the file with axes "
    "CYX (tifffile: photometric='minisblack', metadata={'axes': 'CYX'})"
)
INVERTED = "white was stored as 0 and was inverted"
CHANNELS = "its planes are stated as channels, not as red, green and blue"

Pixels = tuple[NDArray[Any], NDArray[np.uint8] | None, tuple[str, ...]]


def to_colours(path: Path, page: Any, array: NDArray[Any], mask: bool = False) -> Pixels:
    """Grey or RGB (C, ...) of the samples (S, ...) of a page, its palette if it has one, and notes.

    A `mask` keeps its values where white is 0 only because of the program that wrote it.
    Raises ImageError for colour spaces that are not read (CIELAB, LogLuv, raw sensor data).
    """
    match page.photometric:
        case 0 | 1 | 4 if array.dtype == bool:
            turned = page.photometric == WHITE_IS_ZERO and not (mask and means_values(page))
            told = (INVERTED,) if mask and turned else ()
            return np.where(array != turned, np.uint8(255), np.uint8(0)), None, told
        case 0 if mask and means_values(page):
            return _without_alpha(page, array)
        case 0 if array.dtype.kind == "u":
            top = array.dtype.type(2 ** _bits(page) - 1)
            return top - array, None, (INVERTED,)
        case 0 | 1 | 2 | 4:
            return _without_alpha(page, array)
        case 3:
            return array, _palette(path, page, array), ()
        case 5 if array.dtype.kind == "u" and len(array) >= 4:
            return cmyk_to_rgb(array[:4]), None, ("CMYK was converted to RGB",)
        case 6 if page.compression in _JPEG and len(array) == 3:
            return array, None, ()
        case 6 if array.dtype == np.uint8 and len(array) == 3:
            return ycbcr_to_rgb(array), None, ("YCbCr was converted to RGB",)
    name = getattr(page.photometric, "name", page.photometric)
    raise ImageError(f"{shown(path)}: its colour space {name} is not read; save it as grey or RGB")


def means_values(page: Any) -> bool:
    """Whether a mask with white as 0 means its values: bool from tifffile, or from ImageJ.

    tifffile writes bool arrays so unasked; ImageJ masks with an inverting table hold 255 for the object.
    """
    by_tifffile = page.is_shaped or str(page.software).startswith("tifffile")
    return bool(page.is_imagej or (by_tifffile and page.dtype == bool))


def channels_of(page: Any, samples: int) -> int:
    """How many channels `to_colours` makes of `samples`."""
    if page.photometric in (CMYK, YCBCR, PALETTE):
        return 3
    return samples - 1 if _has_alpha(page, samples) else samples


def stored_orientation(page: Any) -> int:
    """The orientation tag, 1 (as stored) to 8."""
    value = page.tags.valueof(_ORIENTATION, 1)
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


def _bits(page: Any) -> int:
    return int(page.bitspersample)


def _has_alpha(page: Any, samples: int) -> bool:
    """Whether the last sample is alpha: planes that lie one behind the other are channels of a microscope.

    tifffile calls the fourth of four such planes alpha unasked.
    """
    extra = tuple(page.extrasamples or ())
    together = page.samplesperpixel == samples > 1 and page.planarconfig == _CONTIGUOUS
    return together and bool(extra) and extra[-1] in _ALPHA


def _without_alpha(page: Any, array: NDArray[Any]) -> Pixels:
    if not _has_alpha(page, len(array)):
        return array, None, ()
    colour, note = drop_alpha(array)
    measured = array.dtype != np.uint8 and len(colour) > 1
    return colour, None, (FOURTH_LEFT_OUT if measured else note,)


def _palette(path: Path, page: Any, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Palette (K, 3): the standard wants 16 bits a value, but some writers store 8."""
    table = np.asarray(page.colormap if page.colormap is not None else 0)
    if (
        table.ndim != 2
        or len(table) != 3
        or not table.size
        or len(array) != 1
        or array.dtype not in (np.uint8, np.uint16)
    ):
        raise ImageError(
            f"{shown(path)}: its palette of shape {table.shape} does not fit its pixels; it is damaged"
        )
    return (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8).T
