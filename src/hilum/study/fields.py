"""Huge annotated images taken apart into fields, so that no step of a training holds one of them whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.errors import StudyError
from hilum.image.fields import field_entry
from hilum.image.pyramid import Pyramid, can_window, is_huge, open_pyramid
from hilum.image.thumbnail import shows_any, thumbnail, tissue_mask
from hilum.study.names import counted
from hilum.study.study import Case, Finding, Source, Study

log = logging.getLogger(__name__)
SIDE = 2048
MOST = 256
_MAP_PIXELS = 1_000_000

Box = tuple[int, int, int, int]


def with_fields(study: Study) -> Study:
    """The study with every huge image in fields of about 2,048 pixels a side, in the group of their image.

    Fields on empty glass without a mark are left out, and of more than 256 an even choice is kept: half of
    them, if there are so many, hold something that is marked. Each becomes a case; a note tells how many.
    Raises StudyError where a mask cannot be read window by window as its image is.
    """
    if not any(map(_is_huge, study.cases)):
        return study
    cases, notes = [], []
    for case in study.cases:
        if not _is_huge(case):
            cases.append(case)
            continue
        fields, of = _fields(case)
        cases += fields
        words = f"{case.name}: huge, so it is learnt in {counted(len(fields), 'field')} of {of}"
        notes.append(Finding("note", words, (case.name,)))
    return replace(study, cases=tuple(cases), findings=(*study.findings, *notes))


def _is_huge(case: Case) -> bool:
    source = case.image
    return bool(case.masks) and source.entry is None and source.index is None and is_huge(source.path)


def _fields(case: Case) -> tuple[list[Case], int]:
    """The fields of a case that are kept, and how many there are in all."""
    sources = [source for mask in case.masks.values() for source in mask.sources]
    with open_pyramid(case.image.path) as pyramid:
        shape = pyramid.shape
        small = thumbnail(pyramid, _MAP_PIXELS)
        top = float(np.iinfo(pyramid.dtype).max) if pyramid.dtype.kind in "ui" else 1.0
        tissue = tissue_mask(small, top)
    marked = np.zeros(tissue.shape, bool)
    for source in dict.fromkeys(sources):
        marked |= _marked(case, source, shape, tissue.shape)
    boxes = [(y, x, h, w) for y, h in _spans(shape[0]) for x, w in _spans(shape[1])]
    with_marks = [box for box in boxes if _any(marked, box, shape)]
    others = [box for box in boxes if box not in set(with_marks) and _any(tissue, box, shape)]
    half = max(MOST // 2, MOST - len(others))
    chosen = _evenly(with_marks, half)
    chosen += _evenly(others, MOST - len(chosen))
    return [_field(case, box) for box in sorted(chosen)], len(boxes)


def _marked(case: Case, source: Source, shape: tuple[int, int], small: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a mask says anything but its most frequent value, on the raster of the thumbnail."""
    if source.entry is not None or source.index is not None or not can_window(source.path):
        raise StudyError(
            f"{source}: its image {case.image} is read in fields, and so must be its mask; save it as a "
            "tiled TIFF of the same size"
        )
    with open_pyramid(source.path, mask=True) as pyramid:
        if pyramid.shape != shape:
            raise StudyError(
                f"{source} is {pyramid.shape[1]} x {pyramid.shape[0]} pixels but its image {case.image} is "
                f"{shape[1]} x {shape[0]} pixels; a mask needs the size of its image, so export it again"
            )
        return _anything(pyramid, small)


def _anything(pyramid: Pyramid, small: tuple[int, ...]) -> NDArray[np.bool_]:
    grey = thumbnail(pyramid, _MAP_PIXELS).max(axis=0)
    found = np.asarray(grey > grey.min())
    return found if found.shape == small else np.ones(small, bool)


def _spans(size: int) -> list[tuple[int, int]]:
    """Start and length of about equal parts of at most SIDE pixels."""
    count = -(-size // SIDE)
    ends = [size * at // count for at in range(count + 1)]
    return [(ends[at], ends[at + 1] - ends[at]) for at in range(count)]


def _any(raster: NDArray[np.bool_], box: Box, shape: tuple[int, int]) -> bool:
    y, x, h, w = box
    return shows_any(raster, shape, (y, y + h, x, x + w))


def _evenly(boxes: Sequence[Box], most: int) -> list[Box]:
    if len(boxes) <= most:
        return list(boxes)
    return [boxes[at] for at in np.linspace(0, len(boxes) - 1, max(1, most)).round().astype(int)]


def _field(case: Case, box: Box) -> Case:
    entry = field_entry(*box)
    masks = {
        target: replace(mask, sources=tuple(replace(source, entry=entry) for source in mask.sources))
        for target, mask in case.masks.items()
    }
    name = f"{case.name}-y{box[0]}-x{box[1]}"
    return replace(case, name=name, image=replace(case.image, entry=entry), masks=masks)
