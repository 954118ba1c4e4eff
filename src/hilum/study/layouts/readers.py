"""Layout: several readers, `PATIENT/nodule-N/images/slice-K.png` + `mask-R/slice-K.png` for each reader R."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from hilum.study.layouts.pairs import UNKNOWN, names_of, unannotated
from hilum.study.listing import Listing
from hilum.study.names import DEFAULT_TARGET, counted, is_image_word, listed, natural, stem
from hilum.study.study import Case, Finding, MaskSource, Source, Study

_READER = re.compile(r"(?:mask|reader|rater|annotator)s?[-_ ]?(\d+)", re.IGNORECASE)
VOTES = 2


def recognise(listing: Listing) -> Study | None:
    """The study where folders of several readers lie beside a folder of images; two readers must agree."""
    masks: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = {}
    images: dict[tuple[PurePosixPath, str], PurePosixPath] = {}
    for path in listing.images:
        if len(path.parts) < 2:
            continue
        key = (path.parent.parent, stem(path))
        if _READER.fullmatch(path.parent.name):
            masks.setdefault(key, []).append(path)
        elif is_image_word(path.parent.name):
            images[key] = path
    paired = [key for key in images if key in masks]
    readers = {path.parent.name for paths in masks.values() for path in paths}
    if not paired or len(readers) < 2:
        return None
    return _study(listing, paired, images, masks, sorted(readers, key=natural))


def _study(
    listing: Listing,
    paired: list[tuple[PurePosixPath, str]],
    images: Mapping[tuple[PurePosixPath, str], PurePosixPath],
    masks: Mapping[tuple[PurePosixPath, str], list[PurePosixPath]],
    readers: list[str],
) -> Study:
    target = _target(paired)
    case_names = names_of((*folder.parts, name) for folder, name in images)
    nested = all(len(folder.parts) > 1 for folder, _ in paired)
    cases = tuple(
        Case(
            case_names[(*key[0].parts, key[1])],
            Source(listing.path(images[key])),
            masks={target: _mask(listing, masks[key])},
            group=key[0].parts[0] if nested else "",
        )
        for key in paired
    )
    names = listed(readers)
    layout = (
        f"images with the masks of {len(readers)} readers ({names}); inside is what {VOTES} of them marked"
    )
    grouping = "the outermost folder is the group" if nested else ""
    return Study(
        listing.root,
        layout,
        cases,
        (target,),
        grouping=grouping,
        findings=_unpaired(images, masks, len(readers)),
        unannotated=unannotated(
            listing,
            {case_names[(*key[0].parts, key[1])]: path for key, path in images.items() if key not in masks},
        ),
    )


def _target(paired: list[tuple[PurePosixPath, str]]) -> str:
    """The word before the number of the folder around, where all agree: nodule-3 says nodule."""
    words = {re.sub(r"[-_ ]?\d+$", "", folder.name) for folder, _ in paired}
    return words.pop() if len(words) == 1 and all(words) else DEFAULT_TARGET


def _mask(listing: Listing, paths: list[PurePosixPath]) -> MaskSource:
    ordered = sorted(paths, key=lambda path: natural(path.parent.name))
    sources = tuple(Source(listing.path(path)) for path in ordered)
    return MaskSource(sources, UNKNOWN, votes=min(VOTES, len(sources)))


def _unpaired(
    images: Mapping[tuple[PurePosixPath, str], PurePosixPath],
    masks: Mapping[tuple[PurePosixPath, str], list[PurePosixPath]],
    readers: int,
) -> tuple[Finding, ...]:
    bare = [path for key, path in images.items() if key not in masks]
    lonely = [paths[0] for key, paths in masks.items() if key not in images]
    fewer = [images[key] for key, paths in masks.items() if key in images and len(paths) < readers]
    texts = [
        (bare, "without a mask of any reader, left out of training"),
        (lonely, "(masks) without an image, left out"),
        (fewer, f"not seen by all {readers} readers"),
    ]
    return tuple(
        Finding("warning", f"{counted(len(paths), 'file')} {words}: {listed(paths)}", tuple(map(stem, paths)))
        for paths, words in texts
        if paths
    )
