"""Pictures of nodules in their scans: three planes with outlines, and the lungs at a glance."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hilum.ct.coordinates import Box, ball_box, inside, spacing_mm
from hilum.ct.grids import regridded
from hilum.ct.lungs import LEFT, RIGHT, Lungs, lung_mask
from hilum.ct.marks import ball_mask
from hilum.ct.pictures import PLANES, lung_montage, three_planes
from hilum.errors import HilumError, ImageError
from hilum.image.image import Image
from hilum.image.mask_files import file_of
from hilum.image.readers import read_image
from hilum.reporting.blocks import Panel
from hilum.reporting.thumbnails import bytes_uri
from hilum.study.masks import read_case_image, read_masks
from hilum.study.study import Case, Mark

TRUE_RGB, FOUND_RGB = (0, 214, 143), (255, 92, 214)
"""Bluish green and magenta: apart for all kinds of sight, and both apart from grey."""
VIEW_MM = 60.0
_PIXELS, _QUALITY = 264, 84
_MONTAGE_PIXELS = 210
Mask = NDArray[np.bool_]
Point = tuple[float, float, float]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spot:
    """A place to be shown: its scan, its centre (x, y, z) in world mm and how wide it is in mm."""

    case: str
    centre: Point
    diameter_mm: float


@dataclass
class Album:
    """Pictures made: three panels a spot, one montage (JPEG bytes) a scan, and the scans that failed."""

    planes: dict[Spot, tuple[Panel, ...]] = field(default_factory=dict)
    lungs: dict[str, bytes] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def take_pictures(
    cases: Mapping[str, Case],
    predictions: Path,
    spots: Sequence[Spot],
    montages: Sequence[str],
    balls: Mapping[str, Sequence[Mark]],
) -> Album:
    """Pictures of `spots` and of the lungs of the scans named in `montages`, each scan read once.

    Predicted masks lie in `predictions`/masks, lungs (where they were kept) in `predictions`/lungs.
    `balls` are the true nodules of each scan, drawn where a case has no mask of its own. Scans that
    cannot be read any more are problems, not errors.
    """
    album = Album()
    for name in dict.fromkeys([*montages, *(spot.case for spot in spots)]):
        mine = [spot for spot in spots if spot.case == name]
        try:
            _of_scan(album, cases[name], predictions, mine, name in montages, balls.get(name, ()))
        except KeyError:
            album.problems[name] = "is no case of this study"
        except HilumError as error:
            album.problems[name] = str(error)
    return album


def _of_scan(
    album: Album, case: Case, predictions: Path, spots: Sequence[Spot], montage: bool, balls: Sequence[Mark]
) -> None:
    image = read_case_image(case)
    predicted = predicted_mask(predictions / "masks", case.name, image)
    drawn = _drawn(case, image)
    for spot in spots:
        width = max(VIEW_MM, 2.5 * spot.diameter_mm)
        try:
            part, box = cut_out(image, spot.centre, width)
        except ImageError as error:  # the other places of the scan are shown all the same
            album.problems[case.name] = str(error)
            continue
        true = drawn[box] if drawn is not None else _balls(part, balls)
        masks = [(true, TRUE_RGB)]
        if predicted is not None:
            masks.append((predicted[box], FOUND_RGB))
        planes = three_planes(part, spot.centre, masks, size_mm=width, pixels=_PIXELS)
        album.planes[spot] = tuple(
            Panel(bytes_uri(_jpeg(picture), "image/jpeg"), f"{plane}, {width:.0f} mm wide")
            for plane, picture in zip(PLANES, planes, strict=True)
        )
    if montage:
        lungs = kept_lungs(predictions / "lungs", case.name, image) or lung_mask(image)
        album.lungs[case.name] = _jpeg(lung_montage(image, lungs, columns=6, count=6, pixels=_MONTAGE_PIXELS))


def cut_out(image: Image, centre: Point, width_mm: float) -> tuple[Image, Box]:
    """The part of a scan that holds a cube of `width_mm` around a world point, and its box along z, y, x.

    It keeps its place in the world. Raises ImageError where the point lies outside the scan.
    """
    if not inside(image, centre):
        place = ", ".join(f"{value:.1f}" for value in centre)
        raise ImageError(f"{image.path or 'scan'}: the point ({place}) mm lies outside it")
    box = ball_box(image, centre, 0.5 * width_mm, margin=2)
    return regridded(image, box, image.array[(slice(None), *box)]), box


def predicted_mask(folder: Path, case: str, image: Image) -> Mask | None:
    """What was predicted in a scan (Z, Y, X), all targets together; None where no mask was kept."""
    found = None
    for path in filter(None, (file_of(target, case) for target in sorted(folder.glob("*")))):
        mask = read_image(path).array[0] > 0
        if mask.shape == image.shape:
            found = mask if found is None else found | mask
        else:
            log.warning("%s: has shape %s, its scan %s; it is not drawn", path, mask.shape, image.shape)
    return found


def kept_lungs(folder: Path, case: str, image: Image) -> Lungs | None:
    """Lungs of a scan as a run kept them (1 right, 2 left), measured again; None where it kept none."""
    path = file_of(folder, case)
    sides = read_image(path).array[0].astype(np.uint8) if path else None
    if sides is None or sides.shape != image.shape:
        return None
    litres = np.bincount(sides.ravel(), minlength=3) * float(np.prod(spacing_mm(image))) / 1e6
    right, left = float(litres[RIGHT]), float(litres[LEFT])
    return Lungs(sides, right + left, left, right)


def _drawn(case: Case, image: Image) -> Mask | None:
    """The true masks of a case, all targets together; None where it has marks alone."""
    if not case.masks:
        return None
    return np.asarray(read_masks(case, tuple(case.masks), image.shape)[0].any(axis=0))


def _balls(part: Image, marks: Sequence[Mark]) -> Mask:
    return ball_mask(part, [mark for mark in marks if bool(inside(part, mark.centre))])


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    """JPEG with colours as fine as the grey, or thin outlines would fade."""
    content = io.BytesIO()
    Pillow.fromarray(picture).save(content, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return content.getvalue()
