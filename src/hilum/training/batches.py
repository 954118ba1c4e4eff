"""Draws batches from samples; each is fixed by seed, fold and step alone, so a resumed run is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hilum.planning.plan import TrainingPlan
from hilum.training.augmentation import pixel_matrix, recolour, theta, warp
from hilum.training.samples import Sample
from hilum.training.slices import slice_of

_TRIALS = 500


@dataclass(frozen=True, eq=False)
class Batch:
    """Input `x` (B, C, *S), wanted output `y` (B, K[, *S]) from 0 to 1, `known` (B, K), `weight` (B,)."""

    x: Tensor
    y: Tensor
    known: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(*(part.to(device) for part in (self.x, self.y, self.known, self.weight)))


def draw_batch(samples: Sequence[Sample], plan: TrainingPlan, fold: int, step: int) -> Batch:
    """The batch of one step: crops or whole images, moved, warped and recoloured."""
    rng = np.random.default_rng([plan.seed, fold, step])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    chosen = _in_turn(samples, plan, fold, step, rng) or [
        _choose(samples, plan, rng) for _ in range(plan.batch)
    ]
    chosen = [_in_plane(sample, centre, plan, rng) for sample, centre in chosen]
    patch, dims = plan.patch, len(plan.patch)
    thetas = np.stack(
        [
            theta(pixel_matrix(rng, plan.augmentation, dims), centre, sample.shape, patch)
            for sample, centre in chosen
        ]
    )
    picked = [sample for sample, _ in chosen]
    stack = warp(
        [s.stack for s in picked], torch.from_numpy(thetas), patch, plan.augmentation.elastic, generator
    )
    channels = picked[0].channels
    x = recolour(stack[:, :channels], plan.augmentation, generator)
    labels = [sample.label for sample in picked if sample.label is not None]
    y = torch.stack(labels) if labels else (stack[:, channels:] > 0.5).float()
    weight = torch.tensor([sample.weight for sample in picked])
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    return Batch(x.contiguous(memory_format=layout), y, torch.stack([s.known for s in picked]), weight)


def _in_plane(
    sample: Sample, centre: Sequence[float], plan: TrainingPlan, rng: np.random.Generator
) -> tuple[Sample, Sequence[float]]:
    """Of a volume whose patches are flat: the slice that the centre lies in, with its neighbours."""
    if len(sample.shape) == len(plan.patch):
        return sample, centre
    turned = "z" in plan.augmentation.flip and rng.random() < 0.5
    plane = min(max(round(centre[0]), 0), sample.shape[0] - 1)
    return slice_of(sample, plane, upside_down=turned), centre[1:]


def _in_turn(
    samples: Sequence[Sample], plan: TrainingPlan, fold: int, step: int, rng: np.random.Generator
) -> list[tuple[Sample, Sequence[float]]]:
    """Whole images drawn as they are: each once an epoch, in another order every time; else nothing."""
    if plan.rare_share or (samples[0].label is None and not plan.whole):
        return []
    places = np.arange(step * plan.batch, (step + 1) * plan.batch)
    epochs = {int(epoch) for epoch in places // len(samples)}
    count = len(samples)
    orders = {e: np.random.default_rng([plan.seed, fold, 1 << 21, e]).permutation(count) for e in epochs}
    turns = (samples[orders[int(p) // len(samples)][int(p) % len(samples)]] for p in places)
    return [(sample, _near_middle(sample, plan, rng)) for sample in turns]


def _labelled(samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
    """A sample of a label drawn evenly among all labels: by trial, which needs no index."""
    wanted = int(rng.integers(len(samples[0].known) + 1))
    for _ in range(_TRIALS):
        sample = samples[int(rng.integers(len(samples)))]
        if sample.label is not None and _carries(sample.label, wanted):
            break
    return sample


def _carries(label: Tensor, wanted: int) -> bool:
    """Whether a label (K,) is present; the one behind the last stands for none of them."""
    return bool((label <= 0.5).all()) if wanted == len(label) else bool(label[wanted] > 0.5)


def _choose(
    samples: Sequence[Sample], plan: TrainingPlan, rng: np.random.Generator
) -> tuple[Sample, Sequence[float]]:
    """A sample and the pixel its patch is centred on."""
    if samples[0].label is not None and rng.random() < plan.rare_share:
        return (sample := _labelled(samples, rng)), _near_middle(sample, plan, rng)
    if plan.rare_share and rng.random() < plan.rare_share:
        targets = [t for t in range(len(samples[0].centres)) if any(len(s.centres[t]) for s in samples)]
        if targets:
            target = targets[int(rng.integers(len(targets)))]
            having = [sample for sample in samples if len(sample.centres[target])]
            sample = having[int(rng.integers(len(having)))]
            inside = sample.centres[target]
            if not plan.whole:
                return sample, _jitter(inside[int(rng.integers(len(inside)))].tolist(), plan.patch, rng)
            return sample, _near_middle(sample, plan, rng)
    sample = samples[int(rng.integers(len(samples)))]
    if plan.whole:
        return sample, _near_middle(sample, plan, rng)
    return sample, [rng.uniform(0, size - 1) for size in sample.shape]


def _near_middle(sample: Sample, plan: TrainingPlan, rng: np.random.Generator) -> list[float]:
    """The middle, moved as far as the plan says; of a volume whose patches are flat, that of any slice."""
    reach, lead = plan.augmentation.shift, len(sample.shape) - len(plan.patch)
    planes = [float(rng.integers(size)) for size in sample.shape[:lead]]
    return [*planes, *((size - 1) / 2 + rng.uniform(-reach, reach) * size for size in sample.shape[lead:])]


def _jitter(pixel: Sequence[int], patch: Sequence[int], rng: np.random.Generator) -> list[float]:
    """Move off the pixel by up to a quarter patch, so that the target is not always in the middle.

    Of a flat patch in a volume the slice stays.
    """
    lead = len(pixel) - len(patch)
    moved = [at + rng.uniform(-0.25, 0.25) * size for at, size in zip(pixel[lead:], patch, strict=True)]
    return [*pixel[:lead], *moved]
