"""Layout: class folders, with or without train, validation and test around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from hilum.errors import StudyError
from hilum.study.layouts.hints import table_hint
from hilum.study.layouts.pairs import split_of
from hilum.study.listing import Listing
from hilum.study.names import (
    counted,
    is_image_word,
    is_mask_word,
    natural,
    split_word,
    stem,
    unique_names,
    without_mask_suffix,
)
from hilum.study.study import Case, Source, Study

_SHARE = 0.9


def recognise(listing: Listing) -> Study | None:
    """The study where the folder around an image (the first below the split's, if any) is its class.

    Raises StudyError where there is one class only.
    """
    placed = [(path, _class(path)) for path in listing.images]
    inside = [(path, name) for path, name in placed if name is not None]
    classes = sorted({name for _, name in inside}, key=natural)
    if len(inside) < _SHARE * len(placed) or not inside or _holds_masks(listing, classes):
        return None
    if len(classes) == 1:
        if is_image_word(classes[0]):
            return None
        raise StudyError(
            f"{listing.root}: one class only ({classes[0]}, {counted(len(inside), 'image')}); a "
            "classifier needs at least two class folders, a segmenter a folder of masks beside the images."
            f"{table_hint(listing)}"
        )
    names = unique_names([(*path.parts[:-1], stem(path)) for path, _ in inside])
    cases = tuple(
        Case(
            name,
            Source(listing.path(path)),
            labels={other: float(other == chosen) for other in classes},
            split=split_of(path),
        )
        for name, (path, chosen) in zip(names, inside, strict=True)
    )
    return Study(listing.root, "class folders", cases, classes=tuple(classes), exclusive=True, grouping="")


def _class(path: PurePosixPath) -> str | None:
    folders = [part for part in path.parts[:-1] if split_word(part) is None]
    return folders[0] if folders else None


def _holds_masks(listing: Listing, classes: Sequence[str]) -> bool:
    """Whether folders, or many files among others, are named as masks are: no class is told by these."""
    folders = {part for path in listing.images for part in path.parts[:-1]}
    masks = sum(without_mask_suffix(stem(path)) is not None for path in listing.images)
    mixed = 1 - _SHARE <= masks / len(listing.images) <= _SHARE
    return mixed or any(map(_names_masks, classes)) or any(map(is_mask_word, folders))


def _names_masks(folder: str) -> bool:
    return is_mask_word(folder) or without_mask_suffix(folder) is not None
