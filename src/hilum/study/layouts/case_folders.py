"""Layout: one folder a case, its files or the folders in it named for image, channels and mask."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from hilum.study.layouts.pairs import Key, Keyed, keyed, paired_study
from hilum.study.listing import Listing
from hilum.study.names import (
    DEFAULT_TARGET,
    IMAGE_WORDS,
    MASK_WORDS,
    is_image_word,
    is_mask_word,
    listed,
    natural,
    stem,
    target_name,
    without_mask_suffix,
)
from hilum.study.study import Case, Source, Study

_NAME = "one folder a case"


def recognise(listing: Listing) -> Study | None:
    """The study where each folder is a case; numbered masks, or those of one folder, are united parts.

    That is `CASE/image.png` and `CASE/mask.png`, `CASE/images/X.png` alone and `CASE/masks/*.png`, an image
    and files named by targets in every folder, `CASE/image.png`, `CASE/tumour.png` and `CASE/stroma.png`, or
    channels and a mask, `CASE/CASE_t1.nii.gz`, `CASE/CASE_t2.nii.gz` and `CASE/CASE_seg.nii.gz`.
    """
    return _by_file(listing) or _by_folder(listing) or _by_target(listing) or _by_channel(listing)


def _by_file(listing: Listing) -> Study | None:
    placed = [
        (path, re.sub(r"[-_ ]?\d+$", "", stem(path).lower())) for path in listing.images if path.parent.parts
    ]
    images = keyed((path.parent.parts, path) for path, word in placed if word in IMAGE_WORDS)
    masks = keyed((path.parent.parts, path) for path, word in placed if word in MASK_WORDS)
    return _paired(listing, images, masks)


def _by_folder(listing: Listing) -> Study | None:
    inside = [path for path in listing.images if len(path.parts) > 2]
    images = keyed((path.parent.parent.parts, path) for path in inside if is_image_word(path.parent.name))
    masks = keyed((path.parent.parent.parts, path) for path in inside if is_mask_word(path.parent.name))
    return _paired(listing, images, masks)


def _by_target(listing: Listing) -> Study | None:
    """The study where each folder holds one image, called so, and files that the other folders hold, too."""
    folders = [paths for folder, paths in listing.folders.items() if folder.parts]
    single = all(sum(map(_is_called_image, paths)) == 1 for paths in folders)
    if len(folders) < 2 or not single:
        return None
    masks = [(_target(path), path) for paths in folders for path in paths if not _is_called_image(path)]
    number = Counter(target for target, _ in masks)
    if not number or min(number.values()) < 2 or max(number.values()) > len(folders):
        return None
    images = keyed((path.parent.parts, path) for paths in folders for path in paths if _is_called_image(path))
    of = {
        name: keyed((path.parent.parts, path) for target, path in masks if target == name) for name in number
    }
    return paired_study(listing, _NAME, images, of)


def _is_called_image(path: PurePosixPath) -> bool:
    return stem(path).lower() in IMAGE_WORDS


def _target(path: PurePosixPath) -> str:
    """What a mask is of by its name: `tumour` of tumour.png, mask_tumour.png and tumour_mask.png."""
    name = stem(path)
    word, _, rest = name.replace("-", "_").partition("_")
    return rest if rest and is_mask_word(word) else target_name(name)


def _paired(listing: Listing, images: Keyed, masks: Keyed) -> Study | None:
    single = all(len(paths) == 1 for paths in images.values())
    if not single or not any(key in masks for key in images):
        return None
    return paired_study(listing, _NAME, images, {DEFAULT_TARGET: masks})


def _by_channel(listing: Listing) -> Study | None:
    """The study where every folder holds the same channels of one image under one name, and most a mask."""
    folders = {folder.parts: paths for folder, paths in listing.folders.items() if folder.parts}
    masks = keyed(
        (key, path) for key, paths in folders.items() for path in paths if without_mask_suffix(stem(path))
    )
    channels = {key: _channels(paths, masks.get(key, ())) for key, paths in folders.items()}
    named = channels[next(iter(masks))] if masks else {}
    alike = all(list(own) == list(named) for own in channels.values())
    if not named or not alike or any(len(paths) > 1 for paths in masks.values()):
        return None
    layout = f"{_NAME}, channels {listed(named)}"
    study = paired_study(
        listing,
        layout,
        {key: tuple(own.values())[:1] for key, own in channels.items()},
        {DEFAULT_TARGET: masks},
    )
    return _stacked(listing, study, channels)


def _channels(paths: tuple[PurePosixPath, ...], masks: tuple[PurePosixPath, ...]) -> dict[str, PurePosixPath]:
    """What follows the name of the case in each file of a folder, in natural order; {} where one has none.

    The name is that of the mask, or of the folder where there is none.
    """
    name = (without_mask_suffix(stem(masks[0])) if masks else None) or paths[0].parent.name
    rest = [path for path in paths if path not in masks]
    ends = {stem(path).removeprefix(name).lower(): path for path in rest if stem(path).startswith(name)}
    if len(ends) < len(rest) or not all(re.match(r"[ _.-].", end) for end in ends):
        return {}
    return {end[1:]: ends[end] for end in sorted(ends, key=natural)}


def _stacked(listing: Listing, study: Study, channels: Mapping[Key, Mapping[str, PurePosixPath]]) -> Study:
    """The study with the other channels behind the first of each case."""
    files = [[Source(listing.path(path)) for path in own.values()] for own in channels.values()]
    rest = {first: tuple(others) for first, *others in files}

    def whole(case: Case) -> Case:
        return replace(case, channels=rest[case.image])

    cases, bare = tuple(map(whole, study.cases)), tuple(map(whole, study.unannotated))
    return replace(study, cases=cases, unannotated=bare)
