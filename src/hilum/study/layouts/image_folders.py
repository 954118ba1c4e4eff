"""Layout: `images/` beside `masks/` or `labels/`, with train, validation and test around or inside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import PurePosixPath

from hilum.study.layouts.pairs import Key, Keyed, image_key, keyed, paired_study, partnered
from hilum.study.listing import Listing
from hilum.study.names import (
    DEFAULT_TARGET,
    SLICE_SUFFIXES,
    is_image_word,
    is_mask_word,
    stem,
    suffix,
    without_mask_suffix,
)
from hilum.study.study import Study

# A file and where in its path the folder lies that says images or masks.
Placed = tuple[PurePosixPath, int]


def recognise(listing: Listing) -> Study | None:
    """The study where folders named for images and for masks hold files of the same names.

    A folder of DICOM slices is one image where a mask is named as the folder is.
    """
    placed = [
        (path, _position(path, is_mask_word), _position(path, is_image_word)) for path in listing.images
    ]
    masks = [(path, mask) for path, mask, _ in placed if mask is not None]
    files = [(path, image) for path, mask, image in placed if mask is None and image is not None]
    return _paired(listing, _by_name(files, masks), masks) or _paired(listing, _by_series(files), masks)


def _by_name(files: Sequence[Placed], masks: Sequence[Placed]) -> Keyed:
    known = {key for path, position in masks for _, key in _candidates(path, position)}
    return partnered(((image_key(path, position), path) for path, position in files), known)


def _by_series(files: Sequence[Placed]) -> Keyed:
    """Images by key, where the folder of DICOM slices inside the images' folder stands for them."""
    result: dict[Key, tuple[PurePosixPath, ...]] = {}
    for path, position in files:
        if suffix(path) not in SLICE_SUFFIXES:
            result[image_key(path, position)] = (path,)
        elif len(path.parts) > position + 2:
            folders = [part for index, part in enumerate(path.parent.parts) if index != position]
            result[tuple(folders)] = (path.parent,)
    return result


def _paired(listing: Listing, images: Keyed, masks: Sequence[Placed]) -> Study | None:
    found = [(*_matched(path, position, images), path) for path, position in masks if images]
    if not any(key in images for _, key, _ in found):
        return None
    targets = dict.fromkeys(target for target, key, _ in found if key in images)
    of = {target: keyed((key, path) for name, key, path in found if name == target) for target in targets}
    return paired_study(listing, "folders of images and of masks", images, of)


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
