"""Layout: `images/` beside `masks/` or `labels/`, with train, validation and test around or inside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

from hilum.study.layouts.pairs import Key, image_key, keyed, paired_study
from hilum.study.listing import Listing
from hilum.study.names import DEFAULT_TARGET, is_image_word, is_mask_word, stem, without_mask_suffix
from hilum.study.study import Study


def recognise(listing: Listing) -> Study | None:
    """The study where folders named for images and for masks hold files of the same names."""
    placed = [
        (path, _position(path, is_mask_word), _position(path, is_image_word)) for path in listing.images
    ]
    images = keyed(
        (image_key(path, image), path) for path, mask, image in placed if mask is None and image is not None
    )
    found = [(*_matched(path, mask, images), path) for path, mask, _ in placed if mask is not None and images]
    if not any(key in images for _, key, _ in found):
        return None
    targets = dict.fromkeys(target for target, key, _ in found if key in images)
    masks = {target: keyed((key, path) for name, key, path in found if name == target) for target in targets}
    return paired_study(listing, "folders of images and of masks", images, masks)


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
