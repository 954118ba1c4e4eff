"""Where training patches are centred in a scan: on nodules, each as often, and on what looks like them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.coordinates import spacing_mm, world_to_voxel
from hilum.study.study import Mark
from hilum.tasks.scans import Scan

EACH = 64
LOOKALIKES = 2048
BRIGHT_HU = -500.0
KEPT_CLEAR_MM = 8.0
_RIM_MM = 4.0
Places = NDArray[np.int32]


def on_nodules(scan: Scan, marks: list[Mark], mask: NDArray[np.bool_]) -> Places:
    """Voxels (N, 3) within nodules, as many of a small one as of a large one."""
    rng = np.random.default_rng(0)
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    parts = [_of_mark(scan, mark, labels, rng) for mark in marks]
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros((0, 3), np.int32)


def _of_mark(scan: Scan, mark: Mark, labels: NDArray[np.int32], rng: np.random.Generator) -> Places:
    centre = np.rint(world_to_voxel(scan.grid, mark.centre)).astype(int)
    centre = np.clip(centre, 0, np.array(labels.shape) - 1)
    label = labels[tuple(centre)]
    own = np.argwhere(labels == label) if label else centre[None]
    return np.asarray(own[rng.integers(len(own), size=EACH)], np.int32)


def on_lookalikes(scan: Scan, mask: NDArray[np.bool_], marks: list[Mark]) -> Places:
    """Voxels (N, 3) away from nodules that are bright inside the lungs (vessels) or lie at their rim."""
    rng = np.random.default_rng(1)
    spacing = spacing_mm(scan.grid)
    free = scan.inside & ~_near(scan, marks, mask)
    deep = ndimage.distance_transform_edt(scan.inside, sampling=spacing)
    bright = scan.grid.array[0] > BRIGHT_HU
    vessels = free & bright & (deep > 2 * _RIM_MM)
    rim = free & bright & (deep <= 2 * _RIM_MM)
    chosen = [_some(np.argwhere(part), LOOKALIKES // 2, rng) for part in (vessels, rim)]
    return np.concatenate(chosen).astype(np.int32)


def _near(scan: Scan, marks: list[Mark], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not marks:
        return np.zeros_like(mask)
    away = ndimage.distance_transform_edt(~mask, sampling=spacing_mm(scan.grid))
    return np.asarray(away < KEPT_CLEAR_MM)


def _some(places: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return places if len(places) <= most else places[np.sort(rng.choice(len(places), most, replace=False))]
