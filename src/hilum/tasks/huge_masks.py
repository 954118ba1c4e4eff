"""What a segmenter writes for a huge image: pyramids of masks, an overlay, table rows; band by band."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.image.freed import give_back
from hilum.image.image import Image
from hilum.image.pyramid import Pyramid, open_pyramid
from hilum.image.pyramid_writer import SUFFIXES, bands, blocks, start_writer
from hilum.image.resampling import needed_part, resized_window
from hilum.image.thumbnail import thumbnail
from hilum.inference.cells import Cells
from hilum.measurement.spool import Row
from hilum.measurement.stitching import Stitcher
from hilum.measurement.table import rows_of
from hilum.scoring.quality import Belief, QualityFit
from hilum.scoring.thresholds import Cut
from hilum.tasks.mask_decisions import cuts_of
from hilum.tasks.mask_files import Tables, write_overlay
from hilum.tasks.mask_quality import add_quality, foretold
from hilum.tasks.task import Delivery, PredictedBlocks

logger = logging.getLogger(__name__)
COLUMNS = 4096
OVERLAY_PIXELS = 3_000_000


def deliver_blocks(
    one: PredictedBlocks,
    targets: Sequence[str],
    decisions: tuple[Sequence[Cut], Sequence[float]],
    quality: Mapping[str, QualityFit],
    delivery: Delivery,
    tables: Tables,
) -> None:
    """Decide on a huge image and write its masks, overlay and, if asked for, probabilities; measure it.

    `decisions` are the thresholds of the targets and those of their presence; the latter were fitted to
    small images and are not applied. `quality` foretells a Dice of each mask. Raises HilumError where the
    disk refuses.
    """
    cuts, gates = cuts_of(decisions[0], one.cells.level_counts), decisions[1]
    if any(gates):
        logger.warning("%s: huge, so masks of doubtful targets are not left empty", one.case.name)
    if delivery.collect:
        raise HilumError(f"{one.case.image}: huge images have no place in a submission; leave it out")
    if any(target in one.case.masks for target in targets):
        logger.warning("%s: huge, so it is measured but not scored", one.case.name)
    paths = [
        mask_path(delivery.out / "masks", target, one.case.name, delivery.mask_format) for target in targets
    ]
    stitchers = [Stitcher(one.shape) for _ in targets]
    beliefs = [Belief(full=255) for _ in targets]
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(start_writer(path, one.shape, one.spacing, delivery.mask_format, binary=True))
            for path in paths
        ]
        maps = [
            stack.enter_context(
                start_writer(
                    mask_path(delivery.out / "probabilities", target, one.case.name, delivery.mask_format),
                    one.shape,
                    one.spacing,
                    delivery.mask_format,
                )
            )
            for target in (targets if delivery.probabilities else ())
        ]
        for y0, y1 in bands(one.shape[0]):
            band, probability = _decided_band(
                one, y0, y1, cuts, list(zip(stitchers, beliefs, strict=True)), bool(maps)
            )
            for writer, mask in zip(writers, band, strict=True):
                writer.push(mask)
            for writer, values in zip(maps, probability, strict=bool(maps)):
                writer.push(values)
            give_back()
    rows = _measured(one, targets, stitchers, tables)
    expected = {
        (one.case.name, target): belief.dice() for target, belief in zip(targets, beliefs, strict=True)
    }
    add_quality(rows, foretold(quality, expected))
    tables.rows.extend(rows)
    if delivery.overlays:
        _write_overlay(delivery.out, one, dict(zip(targets, paths, strict=True)), rows)


def mask_path(folder: Path, target: str, case: str, kind: str) -> Path:
    """Where the mask of a target of a huge image lies."""
    return folder / target / f"{case}{SUFFIXES[kind]}"


def full_window(
    cells: Cells, shape: tuple[int, int], window: tuple[int, int, int, int]
) -> NDArray[np.uint8] | None:
    """Probabilities (K, h, w), 0 to 255, of a window at full resolution; None where all are 0."""
    working = cells.grid.shape
    top, bottom, left, right = needed_part(working, shape, window)
    part = cells.window(top, bottom, left, right)
    if part is None or not part.any():
        return None
    full = resized_window(torch.from_numpy(part), (top, left), working, shape, window)
    return np.asarray(full.round().to(torch.uint8).numpy())


def _decided_band(
    one: PredictedBlocks,
    y0: int,
    y1: int,
    cuts: Sequence[float],
    taking: Sequence[tuple[Stitcher, Belief]],
    maps: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Masks (K, h, X) of 0 and 255 of a band of rows, measured on the way, and probabilities if wanted."""
    shape = (len(cuts), y1 - y0, one.shape[1])
    masks = np.zeros(shape, np.uint8)
    kept = np.zeros(shape if maps else (0, 1, 1), np.uint8)
    for x0, x1 in blocks(one.shape[1], COLUMNS):
        probability = full_window(one.cells, one.shape, (y0, y1, x0, x1))
        for k, (cut, (stitcher, belief)) in enumerate(zip(cuts, taking, strict=True)):
            values = np.zeros((y1 - y0, x1 - x0), np.uint8) if probability is None else probability[k]
            inside = values >= cut * 255
            stitcher.add(y0, x0, inside, values)
            if probability is not None or inside.any():
                belief.add(values, inside)
            masks[k, :, x0:x1] = inside * np.uint8(255)
        if maps and probability is not None:
            kept[:, :, x0:x1] = probability
    return masks, kept


def _measured(
    one: PredictedBlocks, targets: Sequence[str], stitchers: Sequence[Stitcher], tables: Tables
) -> list[Row]:
    rows = []
    for target, stitcher in zip(targets, stitchers, strict=True):
        regions = stitcher.regions(one.spacing)
        pixels = one.shape[0] * one.shape[1]
        row, own = rows_of(one.case.name, target, regions, one.spacing, pixels)
        rest = {key: value for key, value in row.items() if key != "case"}
        rows.append({"case": one.case.name, "group": one.case.group, **rest})
        tables.regions.extend(own)
    return rows


def _write_overlay(out: Path, one: PredictedBlocks, paths: dict[str, Path], rows: Sequence[Row]) -> None:
    """The image made small, with its masks painted in."""
    with open_pyramid(one.case.image.path) as pyramid:
        image = small_image(pyramid, OVERLAY_PIXELS)
    masks = {}
    for target, path in paths.items():
        with open_pyramid(path) as mask:
            masks[target] = thumbnail(mask, OVERLAY_PIXELS)[0] > 127
    write_overlay(out, one.case.name, image, masks, rows)


def small_image(pyramid: Pyramid, most: int) -> Image:
    """A huge image made small, in its stored type."""
    small = thumbnail(pyramid, most)
    whole = np.rint(small) if pyramid.dtype.kind in "ui" else small
    spacing = pyramid.spacing.scaled(pyramid.shape[0] / small.shape[1])
    return Image(whole.astype(pyramid.dtype), spacing, pyramid.path)
