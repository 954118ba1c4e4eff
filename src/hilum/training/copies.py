"""Augmentation beforehand: a fixed number of moved, warped and recoloured copies added to the samples."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from hilum.errors import PlanError
from hilum.planning.plan import TrainingPlan
from hilum.training.augmentation import pixel_matrix, recolour, theta, warp
from hilum.training.samples import Sample, centres_of

logger = logging.getLogger(__name__)


def with_copies(samples: Sequence[Sample], plan: TrainingPlan, fold: int) -> list[Sample]:
    """The samples, then augmented copies: a share `augment_share` of each label, up to `augment_to` in all.

    Labels keep their shares: of 1,349 and 3,883 images a quarter is 337 and 970. The same seed and fold
    make the same copies. Raises PlanError for samples with places of their own to centre patches on, as
    nodules are, which a copy would not have.
    """
    rng = np.random.default_rng([plan.seed, fold, 1 << 20])
    chosen = [index for kind in _kinds(samples) for index in _some(kind, plan.augment_share, rng)]
    missing = (plan.augment_to or 0) - len(samples) - len(chosen)
    chosen += _spread(len(samples), max(0, missing), rng)
    if any(len(samples[index].centres) > len(samples[index].known) for index in chosen):
        raise PlanError(
            "training.augment_share, augment_to: copies of scans with marks are not made; leave them 0"
        )
    if chosen:
        logger.info("fold %d: %d augmented copies beside %d samples", fold, len(chosen), len(samples))
    return [*samples, *(_copy(samples[index], plan, rng) for index in chosen)]


def _kinds(samples: Sequence[Sample]) -> list[list[int]]:
    """Indices of samples of the same label; masks are of one kind."""
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for index, sample in enumerate(samples):
        label = () if sample.label is None else tuple((sample.label > 0.5).tolist())
        kinds.setdefault(label, []).append(index)
    return list(kinds.values())


def _some(indices: Sequence[int], share: float, rng: np.random.Generator) -> list[int]:
    places = _spread(len(indices), math.floor(share * len(indices)), rng)
    return [indices[place] for place in places]


def _spread(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """`wanted` of `count` places, none a second time before all had their turn."""
    rounds = [rng.permutation(count) for _ in range(-(-wanted // count))] if count else []
    return np.concatenate(rounds)[:wanted].tolist() if rounds else []


def _copy(sample: Sample, plan: TrainingPlan, rng: np.random.Generator) -> Sample:
    """One augmented copy in the sample's own size."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    reach = plan.augmentation.shift
    centre = [(size - 1) / 2 + rng.uniform(-reach, reach) * size for size in sample.shape]
    matrix = pixel_matrix(rng, plan.augmentation, len(sample.shape))
    where = torch.from_numpy(theta(matrix, centre, sample.shape, sample.shape)[None])
    stack = warp([sample.stack], where, sample.shape, plan.augmentation.elastic, generator)
    image = recolour(stack[:, : sample.channels], plan.augmentation, generator)[0]
    mask = stack[0, sample.channels :]
    centres = () if sample.label is not None else centres_of(mask)
    return replace(sample, stack=torch.cat([image, mask]), centres=centres)
