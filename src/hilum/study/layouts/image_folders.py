"""Layout: `images/` beside `masks/` or `labels/`, with train, validation and test around or inside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from hilum.study.layouts.pairs import Key, Keyed, image_key, keyed, named_apart, paired_study, partnered
from hilum.study.listing import Listing
from hilum.study.names import (
    DEFAULT_TARGET,
    is_image,
    is_image_word,
    is_mask_word,
    stem,
    without_mask_suffix,
    without_scale,
)
from hilum.study.slices import dicom_slices
from hilum.study.study import Study

# A file and where in its path the folder lies that says images or masks.
Placed = tuple[PurePosixPath, int]


def recognise(listing: Listing) -> Study | None:
    """The study where folders named for images and for masks hold files of the same names.

    A folder of DICOM slices, or of such folders, is one image where a mask is named as the folder is.
    """
    masks = [(path, at) for path in listing.images if (at := _position(path, is_mask_word)) is not None]
    if not masks:
        return None
    wanted = {key for path, position in masks for _, key in _candidates(path, position)}
    by_name = partnered(
        ((image_key(path, position), path) for path, position in _images(listing.images)), wanted
    )
    return _paired(listing, by_name, masks) or _paired(listing, _by_series(listing, wanted), masks)


def _images(paths: Iterable[PurePosixPath]) -> Iterator[Placed]:
    for path in paths:
        position = _position(path, is_image_word)
        if position is not None and _position(path, is_mask_word) is None:
            yield path, position


def _by_series(listing: Listing, wanted: Collection[Key]) -> Keyed:
    """Images by key, where a folder of DICOM slices inside the images' folder stands for them."""
    slices = dicom_slices(listing)
    result: dict[Key, tuple[PurePosixPath, ...]] = {}
    for path, position in _images(path for path in listing.files if path in slices or is_image(path)):
        if path not in slices:
            result[image_key(path, position)] = (path,)
        elif len(path.parts) > position + 2:
            folder = _scan_folder(path, position, wanted)
            result[_folder_key(folder, position)] = (folder,)
    return result


def _scan_folder(path: PurePosixPath, position: int, wanted: Collection[Key]) -> PurePosixPath:
    """The innermost folder around a slice that a mask is named for; the slice's own where there is none.

    Archives lay scans as PATIENT/STUDY/SERIES/*.dcm, and masks are named for any of these.
    """
    inner = [folder for folder in path.parents if len(folder.parts) > position + 1]
    return next((folder for folder in inner if _folder_key(folder, position) in wanted), inner[0])


def _folder_key(folder: PurePosixPath, position: int) -> Key:
    return tuple(part for index, part in enumerate(folder.parts) if index != position)


def _paired(listing: Listing, images: Keyed, masks: Sequence[Placed]) -> Study | None:
    found = [(*_matched(path, position, images), path) for path, position in masks if images]
    if not any(key in images for _, key, _ in found):
        return None
    targets = dict.fromkeys(target for target, key, _ in found if key in images)
    of: dict[str, Keyed] = {}
    for target in targets:
        own = [(key, path) for name, key, path in found if name == target]
        of |= named_apart(own, _mask_word, images) if target == DEFAULT_TARGET else {target: keyed(own)}
    return paired_study(listing, "folders of images and of masks", images, of)


def _mask_word(path: PurePosixPath) -> str:
    return next((without_scale(part) for part in path.parts[:-1] if is_mask_word(part)), "")


def _position(path: PurePosixPath, asks: Callable[[str], bool]) -> int | None:
    return next((index for index, part in enumerate(path.parts[:-1]) if asks(part)), None)


def _matched(path: PurePosixPath, position: int, images: Collection[Key]) -> tuple[str, Key]:
    """Target and key of a mask file; a folder inside the masks folder may name the target."""
    candidates = list(_candidates(path, position))
    return next(((target, key) for target, key in candidates if key in images), candidates[-1])


def _candidates(path: PurePosixPath, position: int) -> Iterator[tuple[str, Key]]:
    key = image_key(path, position)
    inside = key[position:-1]
    prefixes = [(DEFAULT_TARGET, key[:-1])]
    if inside:
        prefixes.append((inside[0], (*key[:position], *inside[1:])))
        prefixes.append((inside[-1], (*key[:position], *inside[:-1])))
    shorter = without_mask_suffix(stem(path))
    for target, folders in prefixes:
        yield target, (*folders, stem(path))
        if shorter is not None:
            yield target, (*folders, shorter)
    yield DEFAULT_TARGET, (*key[:-1], shorter if shorter is not None else stem(path))
