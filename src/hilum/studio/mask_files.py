"""Masks written back without loss, in the coding their study uses; the first version is kept aside."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.files import whole_file
from hilum.image.alignment import turn_onto, turned
from hilum.image.image import Image
from hilum.image.readers import expand_palette, read_mask
from hilum.image.writers import write_image
from hilum.studio.journal import FOLDER
from hilum.studio.places import Place, enter_in_table, inside_value
from hilum.studio.view import View
from hilum.study.study import Case, Encoding

Mask = NDArray[np.bool_]


def save_mask(view: View, case: Case, target: str, place: Place, mask: Mask, image: Image) -> Path:
    """Write a mask (Y, X) or (Z, Y, X) to its place; `image` gives spacing and geometry. The file's path.

    What was there first stays in `.studio/originals`. A lossy file is replaced by a lossless one of its name.
    Raises HilumError where the disk refuses.
    """
    keep_original(view.root, place.old)
    base = _base(place, mask, image)
    if place.encoding.kind == "index" and base.palette is not None:
        _write_palette(place.path, _coded(base, place, mask))
    else:
        write_image(place.path, _coded(base, place, mask))
    if place.old is not None and place.old != place.path:
        place.old.unlink(missing_ok=True)
    if place.in_table:
        enter_in_table(view, case, target, place.path.relative_to(view.root).as_posix())
    return place.path


def keep_original(root: Path, path: Path | None) -> None:
    """Keep a copy of a file that the studio is about to change for the first time."""
    if path is None or not path.is_file():
        return
    try:
        kept = root / FOLDER / "originals" / path.relative_to(root)
        if not kept.exists():
            with whole_file(kept) as beside:
                shutil.copy2(path, beside)
    except (OSError, ValueError) as error:
        raise HilumError(f"{path}: no copy of it can be kept ({error}), so it is not changed") from error


def _base(place: Place, mask: Mask, image: Image) -> Image:
    """What the mask is drawn into: the old file where other targets share it, else nothing but zeros."""
    shared = place.encoding.kind in ("index", "colour")
    if shared and place.path.is_file():
        old = read_mask(place.path)
        turn = turn_onto(old, image)
        old = old if turn is None else turned(old, turn, image)
        return old if place.encoding.kind == "index" else expand_palette(old)
    channels = 3 if place.encoding.kind == "colour" else 1
    value = inside_value(place)
    if not value.is_integer() or not 0 < value < 65_536:
        raise HilumError(f"{place.path}: a mask of {value:g} is not painted over; write 0 and 1 instead")
    kind = np.uint8 if value <= 255 else np.uint16
    return replace(image, array=np.zeros((channels, *mask.shape), kind), palette=None)


def _coded(base: Image, place: Place, mask: Mask) -> Image:
    """The mask in its coding, over what else the file holds."""
    encoding, array = place.encoding, base.array.copy()
    if encoding.kind == "colour" and encoding.colour is not None:
        before = _inside(array, encoding)
        for channel, level in enumerate(encoding.colour):
            array[channel][before & ~mask] = 0
            array[channel][mask] = level
        return replace(base, array=array)
    if encoding.kind == "index":
        grey = array[0]
        before = _inside(array, encoding)
        own = [value for value in (encoding.value, *encoding.others) if (grey == value).any()]
        grey[before & ~mask] = 0
        # of several values of one target a file goes on with the one it holds
        grey[mask & ~before] = own[0] if own else encoding.value
        return replace(base, array=array)
    value = np.array(inside_value(place), array.dtype)
    return replace(base, array=mask[None] * value)


def _inside(array: NDArray[Any], encoding: Encoding) -> Mask:
    from hilum.study.inside import inside

    return inside(Image(array), encoding)


def _write_palette(path: Path, image: Image) -> None:
    """A PNG of indices with its palette, as it was."""
    from PIL import Image as Pillow

    if image.palette is None or image.array.ndim != 3:
        raise HilumError(f"{path}: a mask with a palette is flat")
    height, width = image.shape
    picture = Pillow.frombytes("P", (width, height), image.array[0].astype(np.uint8).tobytes())
    picture.putpalette(image.palette.astype(np.uint8).ravel().tolist())
    with whole_file(path) as beside:
        picture.save(beside, "PNG")
