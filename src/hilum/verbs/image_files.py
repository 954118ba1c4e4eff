"""The images below a folder that is no study: files, OME-Zarr folders, and each DICOM series as one."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.errors import HilumError
from hilum.study.listing import list_with_zarrs
from hilum.study.names import is_image
from hilum.study.slices import dicom_slices
from hilum.study.study import Source

if TYPE_CHECKING:
    from hilum.image.dicom import Series


def image_sources(folder: Path) -> list[Source]:
    """The images below a folder; slices of a DICOM series are one, named by the folder they lie in.

    Other images in the folder of a series, such as an annotation's NIfTI volume, are images all the same.
    """
    listing, zarrs = list_with_zarrs(folder)
    dicoms = dicom_slices(listing)
    number = Counter(path.parent for path in dicoms)
    found = {parent: _stack(listing.path(parent)) for parent, slices in number.items() if slices > 1}
    stacks = {parent: stack for parent, stack in found.items() if stack}
    files = [
        Source(listing.path(path))
        for path in listing.files
        if (is_image(path) or path in dicoms) and not (path in dicoms and path.parent in stacks)
    ]
    in_order = sorted(stacks.values(), key=lambda stack: stack.path)
    return [*in_order, *files, *(Source(path) for path in zarrs)]


def _stack(folder: Path) -> Source | None:
    """The volume of the slices in a folder; None where they are pictures, which say no place.

    Its series is named where folders in it hold other ones, which are images of their own.
    """
    from hilum.image.dicom import list_series

    try:
        every = list_series(folder)
    except HilumError:
        return None
    own = {series.uid: _places(series) for series in every}
    here = [uid for uid, (slices, _) in own.items() if slices]
    if not any(placed > 1 for _, placed in own.values()):
        return None
    return Source(folder, here[0] if len(here) == 1 < len(every) else None)


def _places(series: Series) -> tuple[int, int]:
    """How many slices of a series lie in the folder itself, and how many of these say where."""
    here = [one for one in series.slices if Path(one.name).parent == Path()]
    return len(here), sum(math.isfinite(one.position_mm) for one in here)
