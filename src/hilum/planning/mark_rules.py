"""The planner's rules for marks in volumes: working grid, slices or blocks, sampling, candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilum.planning.draft import Draft
from hilum.planning.fingerprint import Fingerprint
from hilum.planning.rules import WINDOW_HU

SEEN_MM = 6.0
FEWEST_ACROSS, FEWEST_DEEP = 4, 3
PIXELS = 147_456


def plan_volumes(draft: Draft, print_: Fingerprint, outputs: Sequence[str], folds: int, reason: str) -> None:
    """Channels, outputs, folds and the window of Hounsfield units."""
    draft.set("data.channels", 1, f"{print_.dtype} volumes of one channel")
    draft.set("data.outputs", list(outputs), "what is marked")
    draft.set("data.folds", folds, reason)
    draft.set("data.normalise", "window", "Hounsfield units mean the same in every scan")
    draft.set("data.window", list(WINDOW_HU), "HU, from air to soft tissue; bone and metal add nothing")
    draft.set("data.mean", [0.25], "of lung and wall in this window, about")
    draft.set("data.std", [0.3], "")
    draft.set("data.lungs", "crop", "nodules lie in lungs: the rest is neither learnt nor searched")
    draft.set("data.margin_mm", 10.0, "so that the wall is seen")
    draft.set("data.marks_as", "ball", "a mark gives centre and diameter, no outline")


def plan_grid(
    draft: Draft, spacings: Sequence[Sequence[float]], diameters: Sequence[float]
) -> tuple[float, ...]:
    """The working spacing (z, y, x) in mm: the usual one, coarser where the smallest nodules allow it."""
    usual = np.median(np.asarray(spacings, float), axis=0)
    small = float(np.percentile(diameters, 5)) if len(diameters) else 4.0
    across = max(float(usual[1:].mean()), small / FEWEST_ACROSS)
    deep = max(float(usual[0]), small / FEWEST_DEEP)
    spacing = (round(deep, 2), round(across, 2), round(across, 2))
    draft.set(
        "data.spacing",
        list(spacing),
        f"mm; scans have {' x '.join(f'{size:.2g}' for size in usual)} (median), small nodules {small:.1f}",
    )
    return spacing


def plan_slices(draft: Draft, spacing: Sequence[float]) -> None:
    """Slices with neighbours for processors: a tenth of the cost of blocks, with most of what tells apart."""
    beside = int(np.clip(round(SEEN_MM / spacing[0]), 1, 4))
    draft.set("data.dims", 2, "slices with neighbours as channels: blocks cost ten times as much")
    draft.set(
        "data.neighbours", beside, f"{beside * spacing[0]:.1f} mm up and down tell a ball from a vessel"
    )
    draft.set("training.patch", [96, 96], f"{96 * spacing[1]:.0f} mm: a nodule with its surroundings")
    draft.set("training.batch", max(4, PIXELS // (96 * 96)), f"{PIXELS:,} pixels a step")
    draft.set("model.settings", {"width": 16, "depth": 4, "stem": 2}, "six pixels are left at the bottom")
    draft.set("inference.tile", [512, 512], "whole slices, as the lungs' box is smaller")


def plan_blocks(draft: Draft, spacing: Sequence[float]) -> None:
    """Blocks for a graphics card."""
    draft.set("data.dims", 3, "a graphics card is there: blocks see nodules whole")
    patch = [48, 96, 96]
    size = " x ".join(f"{side * step:.0f}" for side, step in zip(patch, spacing, strict=True))
    draft.set("training.patch", patch, f"{size} mm: a nodule with its surroundings")
    draft.set("training.batch", 4, "fits in memory")
    draft.set(
        "model.settings", {"dims": 3, "width": 24, "depth": 3, "stem": 2}, "six voxels are left at the bottom"
    )
    draft.set("inference.tile", [96, 192, 192], "bounds the memory of prediction")


def plan_detection(draft: Draft, diameters: Sequence[float]) -> None:
    """Sampling, loss, augmentation, candidates and the second classifier."""
    draft.set(
        "training.rare_share",
        0.8,
        "half of these on nodules, each as often, half on vessels and wall; the rest anywhere",
    )
    draft.set("training.loss", "bce+dice", "small targets: cross-entropy finds, Dice delineates")
    draft.set("training.weight_decay", 0.05, "few nodules")
    draft.set("training.augmentation.rotate_deg", 180.0, "a nodule looks alike from all sides")
    draft.set("training.augmentation.flip", ["x", "y", "z"], "the same")
    draft.set("training.augmentation.scale", 0.3, "sizes vary")
    draft.set("training.augmentation.contrast", 0.15, "nodules are solid or ground glass")
    draft.set("training.augmentation.brightness", 0.2, "in standard deviations, 80 HU")
    draft.set("training.augmentation.noise", 0.1, "doses differ")
    draft.set("inference.flips", ["x"], "one mirror image steadies the answer at twice the cost")
    smallest = 0.5 * min(diameters, default=4.0)
    draft.set("detection.threshold", 0.2, "low: sensitivity first, the second classifier sorts out")
    draft.set("detection.smallest_mm", round(min(2.0, smallest), 1), "half the smallest nodule, at most 2 mm")
    draft.set(
        "detection.blobs", True, f"{len(diameters)} marks to learn from: what is round and dense is seen too"
    )
    widest = float(np.percentile(diameters, 75)) if len(diameters) else 10.0
    side = int(np.clip(8 * round(1.6 * widest / 8), 24, 40))
    draft.set("detection.cube", side, f"mm: three quarters of the nodules are below {widest:.0f} mm")
    draft.set("scoring.threshold", 0.5, "of what belongs to a nodule, as a share of its peak")
