"""Mask files too large to be held in memory, measured window by window with the same result."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError, ImageError
from hilum.image.limits import shown
from hilum.image.pyramid import Pyramid, open_pyramid
from hilum.image.pyramid_writer import bands, blocks
from hilum.image.spacing import Spacing
from hilum.measurement.objects import Objects
from hilum.measurement.spool import Row
from hilum.measurement.stitching import Stitcher
from hilum.measurement.table import rows_of
from hilum.study.coding import Coding, are_flat, coding_of_values
from hilum.study.study import Encoding

log = logging.getLogger(__name__)
ROWS, COLUMNS = 512, 4096
MASK = "mask"


def target_of(folder: str, part: str = "") -> str:
    """The target of a mask in a folder of that name ("" where no other is measured), or of a part of it.

    >>> target_of(""), target_of("", "red"), target_of("Lung"), target_of("Lung", "red")
    ('mask', 'red', 'Lung', 'Lung-red')
    """
    return "-".join(filter(None, (folder, part))) or MASK


def measure_huge(
    file: Path, case: str, name: str, spacing: Spacing | None, objects: bool = False
) -> tuple[list[Row], list[Row]]:
    """Rows of targets and of regions of one huge mask, as `measure_masks` gives them of a small one.

    `name` is that of its folder, "" where no other is measured.
    Raises HilumError where it does not look like a mask, ImageError where it has several channels.
    """
    with open_pyramid(file) as pyramid:
        if pyramid.channels != 1:
            raise ImageError(
                f"{shown(file)}: has {pyramid.channels} channels; a mask of this size needs one channel"
            )
        used = pyramid.spacing if spacing is None else spacing
        pixels = pyramid.shape[0] * pyramid.shape[1]
        if objects:
            found = Objects(pyramid.shape)
            for y, x, part in windows(pyramid):
                found.add((y, x), part)
            numbers, regions = found.regions(used)
            row, own = rows_of(case, target_of(name), regions, used, pixels, numbers)
            return [row], own
        coding = coding_of_values(_values(pyramid), lambda: are_flat(part for _, _, part in windows(pyramid)))
        if problem := problem_with(shown(file), coding):
            raise HilumError(problem)
        stitchers = {
            target_of(name, part): (encoding, Stitcher(pyramid.shape)) for part, encoding in coding.parts
        }
        for y, x, part in windows(pyramid):
            for encoding, stitcher in stitchers.values():
                stitcher.add(y, x, _inside(part, encoding))
        rows, region_rows = [], []
        for target, (_, stitcher) in stitchers.items():
            row, own = rows_of(case, target, stitcher.regions(used), used, pixels)
            rows.append(row)
            region_rows += own
        return rows, region_rows


def problem_with(where: object, coding: Coding) -> str:
    """Why files are hardly masks, or ""; numbered objects are only warned of."""
    if coding.numbered:
        log.warning("%s: %s; say --objects to measure each by itself", where, coding.doubt)
        return ""
    return f"{where}: {coding.doubt}" if coding.doubt else ""


def windows(pyramid: Pyramid) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """The first channel in blocks (h, w), row by row, with the place of each."""
    height, width = pyramid.shape
    for y0, y1 in bands(height, ROWS):
        for x0, x1 in blocks(width, COLUMNS):
            yield y0, x0, pyramid.read_window(y0, x0, y1 - y0, x1 - x0)[0]


def _values(pyramid: Pyramid) -> Counter[float]:
    counted: Counter[float] = Counter()
    for _, _, part in windows(pyramid):
        if part.dtype == np.uint8:
            numbers = np.bincount(part.ravel(), minlength=256)
            counted.update({float(value): int(numbers[value]) for value in np.flatnonzero(numbers)})
        else:
            values, numbers = np.unique(part, return_counts=True)
            counted.update(dict(zip(map(float, values), map(int, numbers), strict=True)))
    return counted


def _inside(part: NDArray[Any], encoding: Encoding) -> NDArray[np.bool_]:
    if encoding.kind == "index":
        return np.isin(part, (encoding.value, *encoding.others))
    return np.asarray(part > encoding.value)
