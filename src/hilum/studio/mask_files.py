"""Masks written back without loss, in the coding their study uses; the first version is kept aside."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import chain, count
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
from hilum.study.colours import Colour, colours_of
from hilum.study.inside import inside, open_mask
from hilum.study.names import stem, suffix
from hilum.study.study import Case, Encoding

Mask = NDArray[np.bool_]
_LOOKED_AT = 20
_SAMPLED = 500_000


def save_mask(view: View, case: Case, target: str, place: Place, mask: Mask, image: Image) -> Path:
    """Write a mask (Y, X) or (Z, Y, X) to its place; `image` gives spacing and geometry. The file's path.

    What was there first, listed by the study or not, stays in `.studio/originals`. A lossy file is replaced
    by a lossless one of its name.
    Raises HilumError where the disk refuses.
    """
    keep_original(view.root, place.old or place.path)
    base = _base(view, place, mask, image)
    if place.encoding.kind == "index" and base.palette is not None:
        _write_palette(place.path, _coded(view, base, place, mask))
    else:
        write_image(place.path, _coded(view, base, place, mask))
    if place.old is not None and place.old != place.path:
        place.old.unlink(missing_ok=True)
    if place.in_table:
        enter_in_table(view, case, target, place.path.relative_to(view.root).as_posix())
    return place.path


def keep_original(root: Path, path: Path) -> None:
    """Keep a copy of a file that the studio is about to change for the first time."""
    if path.is_file() and not (kept := _place_of_copy(root, path)).exists():
        _copy(path, kept)


def keep_changed(root: Path, path: Path) -> None:
    """Keep a copy of a file that another program changed after the studio had read it."""
    if path.is_file():
        first = _place_of_copy(root, path)
        further = (first.with_name(f"{stem(path)} ({at}){suffix(path)}") for at in count(2))
        _copy(path, next(kept for kept in chain([first], further) if not kept.exists()))


def _place_of_copy(root: Path, path: Path) -> Path:
    if not path.is_relative_to(root):
        raise HilumError(
            f"{path}: lies outside {root}, where no copy of it can be kept, so it is not changed"
        )
    return root / FOLDER / "originals" / path.relative_to(root)


def _copy(path: Path, kept: Path) -> None:
    try:
        with whole_file(kept) as beside:
            shutil.copy2(path, beside)
    except OSError as error:
        raise HilumError(f"{path}: no copy of it can be kept ({error}), so it is not changed") from error


def _base(view: View, place: Place, mask: Mask, image: Image) -> Image:
    """What the mask is drawn into: the old file where other targets share it, else nothing but background."""
    shared, path = place.encoding.kind in ("index", "colour"), place.old or place.path
    if shared and path.is_file():
        old = read_mask(path)
        turn = turn_onto(old, image)
        old = old if turn is None else turned(old, turn, image)
        return old if place.encoding.kind == "index" else expand_palette(old)
    if place.encoding.kind == "colour":
        ground = np.array(_ground(view), np.uint8).reshape(3, *([1] * mask.ndim))
        return replace(image, array=np.broadcast_to(ground, (3, *mask.shape)), palette=None)
    value = inside_value(place)
    if not value.is_integer() or not 0 < value < 65_536:
        raise HilumError(f"{place.path}: a mask of {value:g} is not painted over; write 0 and 1 instead")
    kind = np.uint8 if value <= 255 else np.uint16
    return replace(image, array=np.zeros((1, *mask.shape), kind), palette=None)


def _ground(view: View, *files: Image) -> Colour:
    """The commonest colour of a mask, in these files or else in the study's, that is no target's."""
    masks = [mask for case in view.cases for mask in case.masks.values() if mask.encoding.kind == "colour"]
    coded = {mask.encoding for mask in masks}
    known = {mask.sources[0]: mask.encoding for mask in masks[:_LOOKED_AT]}
    for image in chain(files, (open_mask(*one) for one in known.items())):
        flat = image.array[:3].reshape(3, 1, -1)[..., :: max(1, image.array[0].size // _SAMPLED)]
        free = ~np.logical_or.reduce([inside(Image(flat), one) for one in coded])
        if free.any():
            return colours_of(Image(flat[:, free][:, None])).most_common(1)[0][0]
    return (0, 0, 0)


def _coded(view: View, base: Image, place: Place, mask: Mask) -> Image:
    """The mask in its coding, over what else the file holds."""
    encoding, array = place.encoding, base.array.copy()
    if encoding.kind == "colour" and encoding.colour is not None:
        erased = _inside(array, encoding) & ~mask
        ground = _ground(view, base) if erased.any() else encoding.colour
        for channel, (level, behind) in enumerate(zip(encoding.colour, ground, strict=True)):
            array[channel][erased] = behind
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
