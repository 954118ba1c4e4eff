"""Layout: sibling folders of equally named files, images in one and one folder a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hilum.errors import ImageError
from hilum.study.coding import looks_like_mask
from hilum.study.layouts.pairs import keyed, paired_study, plain_stem
from hilum.study.listing import Listing
from hilum.study.names import is_image_word, split_word, stem, target_name
from hilum.study.study import Source, Study

Siblings = Mapping[str, Sequence[PurePosixPath]]
_SAMPLE = 3


def recognise(listing: Listing) -> Study | None:
    """The study where one of several folders with the same file names holds images, the others masks."""
    families = _families(listing)
    chosen = next((name for family in families.values() if (name := _images_folder(listing, family))), None)
    if chosen is None:
        return None
    image_paths = [path for path in listing.images if path.parent.name == chosen]
    parents = {path.parent.parent for path in image_paths}
    stems = {stem(path) for path in image_paths}
    targets = dict.fromkeys(
        folder.name
        for folder in listing.folders
        if folder.parent in parents and folder.name != chosen and split_word(folder.name) is None
    )
    images = keyed(((*path.parent.parent.parts, stem(path)), path) for path in image_paths)
    masks = {
        target_name(folder): keyed(
            ((*path.parent.parent.parts, plain_stem(path, stems)), path)
            for path in listing.images
            if path.parent.name == folder and path.parent.parent in parents
        )
        for folder in targets
    }
    return paired_study(listing, f"sibling folders, images in {chosen}", images, masks)


def _families(listing: Listing) -> dict[PurePosixPath, dict[str, Sequence[PurePosixPath]]]:
    """Folders with images under their common parent, where at least two share file names."""
    families: dict[PurePosixPath, dict[str, Sequence[PurePosixPath]]] = {}
    for folder, paths in listing.folders.items():
        if folder.parts and split_word(folder.name) is None:
            families.setdefault(folder.parent, {})[folder.name] = paths
    return {parent: family for parent, family in families.items() if _share_names(family)}


def _share_names(family: Siblings) -> bool:
    """Whether every folder shares at least half of its names with some other folder of the family."""
    if len(family) < 2:
        return False
    stems = {name: {stem(path) for path in paths} for name, paths in family.items()}
    stems |= {f"{name}/": {plain_stem(path, ()) for path in paths} for name, paths in family.items()}
    every = {
        name: max(
            len(stems[name] & stems[other] | stems[f"{name}/"] & stems[other])
            for other in family
            if other != name
        )
        for name in family
    }
    return sum(2 * shared >= min(len(stems[name]), 4) and shared > 0 for name, shared in every.items()) >= 2


def _images_folder(listing: Listing, family: Siblings) -> str | None:
    """The one folder of images: by its name, else the only one that does not look like masks."""
    masks = {name: _looks_like_masks(listing, paths) for name, paths in family.items()}
    named = [name for name in family if is_image_word(name)]
    others = [name for name in family if name not in named]
    if len(named) == 1 and any(masks[name] for name in others):
        return named[0]
    coloured = [name for name, is_mask in masks.items() if not is_mask]
    return coloured[0] if len(coloured) == 1 and len(family) > 1 else None


def _looks_like_masks(listing: Listing, paths: Sequence[PurePosixPath]) -> bool:
    step = max(1, len(paths) // _SAMPLE)
    votes = [vote for path in paths[::step][:_SAMPLE] if (vote := _vote(listing, path)) is not None]
    return bool(votes) and 2 * sum(votes) > len(votes)


def _vote(listing: Listing, path: PurePosixPath) -> bool | None:
    try:
        return looks_like_mask(Source(listing.path(path)))
    except ImageError:
        return None
