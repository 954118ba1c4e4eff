"""A chest CT as a detector sees it: cut to its lungs, brought to the working grid, in Hounsfield units."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hilum.ct.classic_lungs import classic_lung_mask
from hilum.ct.coordinates import Box, inside, spacing_mm
from hilum.ct.grids import box_around, regridded
from hilum.ct.hounsfield import AIR_HU, clean_array
from hilum.ct.lungs import Lungs, lung_mask
from hilum.ct.marks import adaptive_mask, ball_mask, slices_mask
from hilum.ct.morphology import dilate
from hilum.errors import ImageError
from hilum.image.image import Image
from hilum.planning.plan import DataPlan
from hilum.study.marked import nodule_marks
from hilum.study.study import NODULE, Case, Mark
from hilum.training.prepare import normalise, resize, working_shape

logger = logging.getLogger(__name__)
# The lung mask ends at the pleura; a nodule that sits on it has its centre up to this far outside.
REACH_MM = 4.0
_MASKS = {"ball": ball_mask, "adaptive": adaptive_mask, "slices": slices_mask}
KEPT = 200
_packed: dict[str, tuple[Lungs, bytes]] = {}


@dataclass(frozen=True, eq=False)
class Scan:
    """One CT on the working grid.

    `grid` (1, Z', Y', X') holds HU and its place in the world, `box` is what it covers of the image, `inside`
    (Z', Y', X') where a nodule may have its centre.
    """

    lungs: Lungs
    box: Box
    grid: Image
    inside: NDArray[np.bool_]


def lungs_of(image: Image) -> Lungs:
    """The lungs of a CT. Those of the last scans are kept, packed, as several steps need them."""
    voxels = np.ascontiguousarray(image.array).view(np.uint8)
    key = f"{image.shape} {image.spacing!r} {image.geometry} {zlib.crc32(voxels.data)}"
    if key not in _packed:
        signed = image.array.dtype.kind in "if"
        found = lung_mask(image if signed else image.with_array(image.array.astype(np.int32)))
        facts, sides = replace(found, sides=np.zeros((0, 0, 0), np.uint8)), found.sides.tobytes()
        _packed[key] = (facts, zlib.compress(sides, 1))
        if len(_packed) > KEPT:
            del _packed[next(iter(_packed))]
    facts, packed = _packed[key]
    return replace(facts, sides=np.frombuffer(zlib.decompress(packed), np.uint8).reshape(image.shape))


def read_scan(image: Image, data: DataPlan) -> Scan:
    """Cut a CT (1, Z, Y, X) to its lungs and bring it to the plan's grid.

    Raises ImageError where it is no volume of one channel or its spacing is not known.
    """
    if len(image.shape) != 3 or image.channels != 1:
        raise ImageError(f"{image.path}: is {image!r}; nodules are looked for in volumes of one channel")
    spacing = spacing_mm(image)
    lungs = lungs_of(image)
    mask = lungs.mask
    cut = data.lungs != "none" and bool(mask.any())
    box = box_around(mask if cut else np.ones(image.shape, bool), (data.margin_mm / spacing).tolist())
    hu = torch.from_numpy(clean_array(image.array[0][box].astype(np.float32)))
    near = mask[box] if cut else np.ones(hu.shape, bool)
    if data.lungs in ("blank", "classic"):
        kept = classic_lung_mask(image)[box] if data.lungs == "classic" else near
        hu = torch.where(torch.from_numpy(kept), hu, torch.tensor(float(AIR_HU)))
    shape = working_shape(tuple(hu.shape), data, image.spacing)
    grid = regridded(image, box, resampled(hu, shape)[None].numpy())
    small = resize(torch.from_numpy(near).float()[None], shape)[0].numpy() > 0.5
    return Scan(lungs, box, grid, dilate(small, REACH_MM, spacing_mm(grid)) if cut else small)


def resampled(volume: Tensor, shape: Sequence[int]) -> Tensor:
    """A volume (Z, Y, X) on another grid, interpolated linearly; averaged where it shrinks."""
    if tuple(volume.shape) == tuple(shape):
        return volume
    if tuple(volume.shape[1:]) != tuple(shape[1:]):
        volume = F.interpolate(volume[None], tuple(shape[1:]), mode="bilinear", antialias=True)[0]
    if volume.shape[0] != shape[0]:
        upright = volume.permute(1, 0, 2)[None]
        upright = F.interpolate(upright, (shape[0], shape[2]), mode="bilinear", antialias=True)
        volume = upright[0].permute(1, 0, 2)
    return volume.contiguous()


def network_input(scan: Scan, data: DataPlan) -> Tensor:
    """What the network sees of a scan, (1, Z', Y', X')."""
    return normalise(torch.from_numpy(scan.grid.array), data)


def other_marks(case: Case) -> tuple[Mark, ...]:
    """Marks of irrelevant findings, which count neither way."""
    return tuple(mark for mark in case.marks or () if mark.kind != NODULE)


def marks_mask(scan: Scan, marks: Sequence[Mark], kind: str, name: str = "") -> NDArray[np.bool_]:
    """The mask (Z', Y', X') of nodules that lie on the working grid of a scan of this name."""
    return _MASKS[kind](scan.grid, marks, seriesuid=name)


def marks_inside(grid: Image, case: Case) -> list[Mark]:
    """The nodules whose centre lies on the grid; others are named in a warning."""
    marks = nodule_marks(case)
    there = [mark for mark in marks if bool(inside(grid, mark.centre))]
    if len(there) < len(marks):
        logger.warning(
            "%s: %d of %d nodules lie outside the lungs that were found and cannot be learnt or found; "
            "see --set data.lungs=none",
            case.name,
            len(marks) - len(there),
            len(marks),
        )
    return there
