"""Outlines and measurements of the regions in a mask file of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.exchange.outlines import Outline, Outliner
from hilum.image.limits import shown
from hilum.image.pyramid import is_huge, open_pyramid
from hilum.image.readers import read_image
from hilum.image.spacing import Spacing
from hilum.measurement.huge_files import windows
from hilum.measurement.regions import Region
from hilum.measurement.stitching import Stitcher


@dataclass(frozen=True, eq=False)
class Outlined:
    """The regions of a mask of `shape` (Y, X), each measured and outlined, in one order."""

    shape: tuple[int, int]
    spacing: Spacing
    regions: tuple[Region, ...]
    outlines: tuple[Outline, ...]


def outlined(path: Path) -> Outlined:
    """Trace the regions of a mask file of 0 and 255; huge ones are read window by window.

    Raises ImageError where it is no flat mask of one channel.
    """
    if is_huge(path):
        with open_pyramid(path) as pyramid:
            return _traced(pyramid.shape, pyramid.spacing, windows(pyramid))
    image = read_image(path)
    if len(image.shape) != 2 or image.channels != 1:
        raise ImageError(f"{shown(path)}: is {image!r}; outlines are drawn of flat masks of one channel")
    height, width = image.shape
    return _traced((height, width), image.spacing, iter([(0, 0, image.array[0])]))


def _traced(
    shape: tuple[int, int], spacing: Spacing, parts: Iterator[tuple[int, int, NDArray[Any]]]
) -> Outlined:
    stitcher, outliner = Stitcher(shape), Outliner(shape)
    for y, x, part in parts:
        height, width = part.shape
        outliner.add(y, x, (height, width), stitcher.add(y, x, np.asarray(part > 127)))
    found = tuple(outliner.outlines(stitcher.final_numbers()))
    return Outlined(shape, spacing, tuple(stitcher.regions(spacing)), found)
