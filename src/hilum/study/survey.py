"""One pass over every file of a study: sizes, intensities, mask areas, thumbnails, and files that fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hilum.errors import HilumError, ImageError, StudyError
from hilum.files import as_text
from hilum.image.image import STRAIGHT, Geometry, Image
from hilum.image.spacing import Spacing
from hilum.study.inside import luminance
from hilum.study.masks import read_case_image, read_masks
from hilum.study.study import Case, Finding, Study

SIDE = 64


@dataclass(frozen=True, eq=False)
class Facts:
    """What was seen of one case: the image as stored, its grey intensities, and the pixels of each target.

    `overlap` counts the pixels that belong to several targets. `thumbnail` (64, 64) is grey, of the middle
    slice for volumes; `mask_thumbnails` holds the share of each annotated target in the same raster.
    `notes` is what the reader of the image had to decide.
    """

    name: str
    channels: int
    shape: tuple[int, ...]
    dtype: str
    spacing: Spacing
    size_bytes: int
    low: float
    high: float
    mean: float
    border: float
    overlap: int
    thumbnail: NDArray[np.float32]
    pixels: dict[str, int] = field(default_factory=dict)
    mask_thumbnails: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """Facts by case name, and an error finding for every case that could not be read."""

    facts: dict[str, Facts]
    problems: tuple[Finding, ...]


def survey_study(study: Study, workers: int | None = None) -> Survey:
    """Decode every image and mask of a study once, in threads; memory stays at a few images at a time."""
    facts: dict[str, Facts] = {}
    problems = []
    for case, seen in _seen(study, workers or min(4, os.cpu_count() or 1)):
        if isinstance(seen, Facts):
            facts[case.name] = seen
        else:
            problems.append(Finding("error", str(seen), (case.name,)))
    return Survey(facts, tuple(problems))


def _seen(study: Study, workers: int) -> Iterator[tuple[Case, Facts | HilumError]]:
    with ThreadPoolExecutor(workers) as pool:
        yield from zip(study.cases, pool.map(_look, study.cases, chunksize=1), strict=True)


def _look(case: Case) -> Facts | HilumError:
    try:
        return look_at(case)
    except HilumError as error:
        return error


def look_at(case: Case) -> Facts:
    """The facts of one case. Raises ImageError or StudyError where a file fails or sizes differ."""
    check_names(case)
    image = read_case_image(case)
    if image.array.dtype.kind == "f" and not np.isfinite(image.array).all():
        raise ImageError(f"{image.path}: holds NaN or infinite pixels; replace them, for example by 0")
    targets = tuple(case.masks)
    masks, _ = read_masks(case, targets, image.shape)
    check_marks_inside(case, image.shape, image.spacing, image.geometry)
    grey = _plane(luminance(image)).astype(np.float32)
    return Facts(
        case.name,
        image.channels,
        image.shape,
        str(image.array.dtype),
        image.spacing,
        size_bytes(case),
        *_intensities(image, grey),
        int(np.count_nonzero(masks.sum(axis=0, dtype=np.uint8) > 1)),
        thumbnail(grey),
        {target: int(np.count_nonzero(mask)) for target, mask in zip(targets, masks, strict=True)},
        {
            target: thumbnail(_plane(mask).astype(np.float32))
            for target, mask in zip(targets, masks, strict=True)
            if mask.ndim == 2
        },
        image.notes,
    )


def check_names(case: Case) -> None:
    """Raise StudyError where a file or folder of a case has a name that is no text.

    Linux takes any bytes for a name; results are written as UTF-8.
    """
    masks = (source for mask in case.masks.values() for source in mask.sources)
    for source in (case.image, *case.channels, *masks):
        if as_text(path := str(source.path)) != path:
            raise StudyError(
                f"{source}: its name is not UTF-8, so no result can name it; rename it (for many: convmv)"
            )


def check_marks_inside(
    case: Case, shape: tuple[int, ...], spaced: Spacing, geometry: Geometry | None
) -> None:
    """Raise StudyError where a mark of a case lies outside its volume of this shape (Z, Y, X).

    A volume without a `geometry` lies at 0; one without a known spacing is refused where millimetres are
    needed.
    """
    if not case.marks or len(shape) != 3 or not spaced.known:
        return
    there = geometry or STRAIGHT
    spacing = np.asarray(spaced.sizes[::-1]) * (1e-3 if spaced.unit == "um" else 1.0)
    size = np.asarray(shape[::-1])
    direction = np.asarray(there.direction).reshape(3, 3)
    for mark in case.marks:
        voxel = direction.T @ (np.asarray(mark.centre) - np.asarray(there.origin)) / spacing
        if (voxel < -0.5).any() or (voxel > size - 0.5).any():
            place = ", ".join(f"{value:g}" for value in mark.centre)
            index = ", ".join(f"{value:.0f}" for value in voxel)
            raise StudyError(
                f"{case.image}: a mark at ({place}) mm lies outside the volume (voxel {index} of "
                f"{' x '.join(map(str, size))}); mend its row in the table of marks"
            )


def _intensities(image: Image, grey: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Lowest, highest and mean value, and the mean along the border (a twentieth of the shorter side)."""
    width = max(1, min(grey.shape) // 20)
    inner = grey[width:-width, width:-width]
    number = grey.size - inner.size
    total = float(grey.sum(dtype=np.float64))
    border = (total - float(inner.sum(dtype=np.float64))) / number if number else total / grey.size
    return float(image.array.min()), float(image.array.max()), total / grey.size, border


def _plane(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself (Y, X), or the middle slice of (Z, Y, X)."""
    return array[len(array) // 2] if array.ndim == 3 else array


def thumbnail(plane: NDArray[np.float32], side: int = SIDE) -> NDArray[np.float32]:
    """A plane (Y, X) as means over a raster (side, side)."""
    small = Pillow.fromarray(np.ascontiguousarray(plane)).resize((side, side), Pillow.Resampling.BOX)
    return np.asarray(small, np.float32)


def size_bytes(case: Case) -> int:
    """Bytes of the image's file, 0 inside an archive of many images."""
    if case.image.index is not None:
        return 0
    try:
        return case.image.path.stat().st_size
    except OSError:
        return 0
