"""Training images cut into tiles at fixed places, and the tiles with too little target left out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.errors import TrainingError
from hilum.image.tiles import even_starts
from hilum.planning.plan import Plan
from hilum.training.samples import Sample
from hilum.training.slices import all_slices

logger = logging.getLogger(__name__)


def cut_samples(samples: Sequence[Sample], plan: Plan) -> list[Sample]:
    """The samples to train on: as they are, as `data.tiles` tiles of the patch size each, or slice by slice.

    Volumes become slices where whole images are wanted of a flat patch. Tiles and slices in which every
    known target covers less than `training.min_share` are left out.
    Raises TrainingError where none is left.
    """
    volumes = any(len(sample.shape) == 3 for sample in samples)
    if plan.data.tiles is None and not (volumes and learnt_by_slice(plan)):
        return list(samples)
    if plan.data.tiles is None:
        kept = all_slices(samples, plan.training.min_share)
        return _some(kept, sum(_depth(sample) for sample in samples), "slices")
    tiles = [tile for sample in samples for tile in cut(sample, plan.data.tiles, plan.training.patch)]
    kept = [tile for tile in tiles if largest_share(tile) >= plan.training.min_share]
    return _some(kept, len(tiles), "tiles")


def learnt_by_slice(plan: Plan) -> bool:
    """Whether volumes are taken apart into whole slices before training."""
    return plan.training.whole and plan.data.dims == 2


def _depth(sample: Sample) -> int:
    return sample.shape[0] if len(sample.shape) == 3 else 1


def _some(kept: list[Sample], of: int, what: str) -> list[Sample]:
    """The samples kept. Raises TrainingError where there is none."""
    logger.info("%d of %d %s to train on", len(kept), of, what)
    if not kept:
        raise TrainingError(
            f"none of {of} {what} holds as much of a target as is asked for; lower --set training.min_share=0"
        )
    return kept


def cut(sample: Sample, counts: Sequence[int], size: Sequence[int]) -> Iterator[Sample]:
    """Tiles of a sample: `counts` (rows, columns) of `size`, evenly spread; views, nothing is copied."""
    height, width = sample.shape[-2:]
    for top in even_starts(height, size[0], counts[0]):
        for left in even_starts(width, size[1], counts[1]):
            stack = sample.stack[..., top : top + size[0], left : left + size[1]]
            centres = tuple(_moved(inside, top, left, stack.shape[-2:]) for inside in sample.centres)
            yield replace(sample, name=f"{sample.name} r{top} c{left}", stack=stack, centres=centres)


def _moved(centres: NDArray[np.int32], top: int, left: int, size: Sequence[int]) -> NDArray[np.int32]:
    at = centres - np.array([*[0] * (centres.shape[1] - 2), top, left], np.int32)
    inside = ((at[:, -2:] >= 0) & (at[:, -2:] < np.array(size))).all(1)
    return np.asarray(at[inside], np.int32)


def largest_share(sample: Sample) -> float:
    """Share of the sample that its largest known target covers, 0 to 1."""
    shares = (sample.stack[sample.channels :] > 0.5).flatten(1).float().mean(1) * sample.known
    return float(shares.max()) if len(shares) else 0.0
