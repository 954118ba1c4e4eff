"""Layout: class folders, with or without train, validation and test around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from hilum.errors import StudyError
from hilum.study.layouts.hints import table_hint
from hilum.study.layouts.pairs import split_of
from hilum.study.listing import Listing
from hilum.study.name_words import is_uid, names_no_finding
from hilum.study.names import (
    counted,
    is_image_word,
    is_mask_word,
    listed,
    natural,
    split_word,
    stem,
    unique_names,
    without_mask_suffix,
)
from hilum.study.study import Case, Finding, Source, Study

_SHARE = 0.9


def recognise(listing: Listing) -> Study | None:
    """The study where the folder around an image (the first below the split's, if any) is its class.

    Where these are folds, persons or sites that hold the same folders, those are the classes. Raises
    StudyError where there is one class only.
    """
    depth = _depth(listing.images)
    placed = [(path, _class(path, depth)) for path in listing.images]
    inside = [(path, name) for path, name in placed if name is not None]
    classes = sorted({name for _, name in inside}, key=natural)
    few = len(inside) < _SHARE * len(placed) or not inside
    if few or _holds_masks(listing, classes) or all(map(is_uid, classes)):
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
    findings = (*_whereabouts(classes), *_crossed(inside))
    return Study(listing.root, "class folders", cases, (), tuple(classes), True, "", findings)


def _folders(path: PurePosixPath) -> list[str]:
    return [part for part in path.parts[:-1] if split_word(part) is None]


def _class(path: PurePosixPath, depth: int) -> str | None:
    folders = _folders(path)
    return folders[depth] if len(folders) > depth else None


def _depth(images: Sequence[PurePosixPath]) -> int:
    """1 where the outer folders name no finding, and what is in them does; else 0."""
    folders = [_folders(path) for path in images]
    outer = {parts[0] for parts in folders if parts}
    inner = Counter(parts[1] for parts in {(*parts[:2],) for parts in folders} if len(parts) > 1)
    told = bool(outer) and all(map(names_no_finding, outer))
    several = sum(number > 1 for number in inner.values())
    shared = several > 1 and not any(map(names_no_finding, inner))
    return int(told and shared and all(len(parts) > 1 for parts in folders))


def _whereabouts(classes: Sequence[str]) -> tuple[Finding, ...]:
    """A warning of classes that are named for persons, times or places."""
    if not all(map(names_no_finding, classes)):
        return ()
    words = (
        f"classes {listed(classes)} are named for a person, a time or a place and not for what is seen: if "
        "so, put folders named by classes around the images, or list both in study.csv (columns image, "
        "label, group)"
    )
    return (Finding("warning", words),)


def _crossed(inside: Sequence[tuple[PurePosixPath, str]]) -> tuple[Finding, ...]:
    """A warning where every class holds the same folders, which may be the classes."""
    inner: dict[str, set[str]] = {}
    for path, name in inside:
        inner.setdefault(name, set()).update(_folders(path)[_folders(path).index(name) + 1 :][:1])
    first = next(iter(inner.values()))
    if len(first) < 2 or any(own != first for own in inner.values()) or any(map(_counts, first)):
        return ()
    held = sorted(first, key=natural)
    words = (
        f"each of {listed(inner)} holds the same folders {listed(held)}: if these are "
        "the classes, put them outside, as CLASS/FOLDER/image, or list them in study.csv (columns image, "
        "label, group)"
    )
    return (Finding("warning", words),)


def _counts(folder: str) -> bool:
    """Whether a folder is numbered, as patients are in every class anew."""
    return any(map(str.isdigit, folder))


def _holds_masks(listing: Listing, classes: Sequence[str]) -> bool:
    """Whether folders, or many files among others, are named as masks are: no class is told by these."""
    folders = {part for path in listing.images for part in path.parts[:-1]}
    masks = sum(without_mask_suffix(stem(path)) is not None for path in listing.images)
    mixed = 1 - _SHARE <= masks / len(listing.images) <= _SHARE
    return mixed or any(map(_names_masks, classes)) or any(map(is_mask_word, folders))


def _names_masks(folder: str) -> bool:
    return is_mask_word(folder) or without_mask_suffix(folder) is not None
