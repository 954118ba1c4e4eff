"""Mask files too large to be held in memory, measured window by window with the same result."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.limits import shown
from hilum.image.pyramid import Pyramid, open_pyramid
from hilum.image.pyramid_writer import bands, blocks
from hilum.image.spacing import Spacing
from hilum.image.tiff_colours import INVERTED
from hilum.measurement.objects import Objects
from hilum.measurement.spool import Row
from hilum.measurement.stitching import Stitcher
from hilum.measurement.table import rows_of
from hilum.study.coding import (
    Coding,
    coding_of_values,
    gather,
    inversion_warning,
    values_of,
)
from hilum.study.inside import inside_values

log = logging.getLogger(__name__)
ROWS, COLUMNS = 512, 4096
MASK = "mask"


def target_of(folder: str, part: str = "") -> str:
    """The target of a mask in a folder of that name ("" where no other is measured), or of a part of it.

    >>> target_of(""), target_of("", "red"), target_of("Lung"), target_of("Lung", "red")
    ('mask', 'red', 'Lung', 'Lung-red')
    """
    return "-".join(filter(None, (folder, part))) or MASK


def find_huge_coding(files: Sequence[Path]) -> Coding:
    """How the huge mask files of one folder are coded, all taken together; warnings are logged.

    Files that cannot be read are passed over here; `measure_huge` names them.
    """
    counted = {file: values for file in files if (values := _counted(file)) is not None}
    for words in inversion_warning([file for file in counted if _is_inverted(file)]):
        log.warning("%s", words)
    return coding_of_values(
        gather(counted.values()), lambda: (part for file in counted for part in _parts(file))
    )


def measure_huge(
    file: Path, case: str, name: str, coding: Coding, spacing: Spacing | None, objects: bool = False
) -> tuple[list[Row], list[Row]]:
    """Rows of targets and of regions of one huge mask, as `measure_masks` gives them of a small one.

    `name` is that of its folder, "" where no other is measured, `coding` that of all its huge files.
    Raises HilumError where it holds numbers that are no objects', ImageError where it has several channels.
    """
    with _opened(file) as pyramid:
        used = pyramid.spacing if spacing is None else spacing
        pixels = pyramid.shape[0] * pyramid.shape[1]
        if objects:
            found = Objects(pyramid.shape)
            for y, x, part in windows(pyramid):
                found.add((y, x), part)
            numbers, regions = found.regions(used)
            row, own = rows_of(case, target_of(name), regions, used, pixels, numbers)
            return [row], own
        stitchers = {
            target_of(name, part): (encoding, Stitcher(pyramid.shape)) for part, encoding in coding.parts
        }
        for y, x, part in windows(pyramid):
            for encoding, stitcher in stitchers.values():
                stitcher.add(y, x, inside_values(part, encoding))
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


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Pyramid]:
    with open_pyramid(file, mask=True) as pyramid:
        if pyramid.channels != 1:
            raise ImageError(
                f"{shown(file)}: has {pyramid.channels} channels; a mask of this size needs one channel"
            )
        yield pyramid


def _parts(file: Path) -> Iterator[NDArray[Any]]:
    with _opened(file) as pyramid:
        yield from (part for _, _, part in windows(pyramid))


def _counted(file: Path) -> Counter[float] | None:
    counted: Counter[float] = Counter()
    try:
        for part in _parts(file):
            counted.update(values_of(part))
    except ImageError:
        return None
    return counted


def _is_inverted(file: Path) -> bool:
    with _opened(file) as pyramid:
        return INVERTED in pyramid.notes
