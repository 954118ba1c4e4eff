"""Coarse to fine: early steps on images shrunk further cost less and show more of each image."""

from __future__ import annotations

from dataclasses import replace

from torch.nn import functional as F

from hilum.planning.plan import TrainingPlan
from hilum.training.samples import Sample


def factor_at(plan: TrainingPlan, step: int, steps: int) -> int:
    """By how much images are shrunk further at a step: `stages` are equal parts of all steps.

    >>> [factor_at(TrainingPlan(stages=[2, 2, 1]), step, 6) for step in range(6)]
    [2, 2, 2, 2, 1, 1]
    """
    return plan.stages[min(step * len(plan.stages) // steps, len(plan.stages) - 1)]


def coarser_plan(plan: TrainingPlan, factor: int) -> TrainingPlan:
    """The settings of a coarse stage: patches show as much of an image, `factor` times as many of them.

    >>> coarser_plan(TrainingPlan(patch=[256, 256], batch=4), 2).patch
    [128, 128]
    """
    if factor == 1:
        return plan
    moves = plan.augmentation.model_copy(update={"elastic": plan.augmentation.elastic / factor})
    patch = [side // factor for side in plan.patch]
    return plan.model_copy(update={"patch": patch, "batch": plan.batch * factor, "augmentation": moves})


def coarser_sample(sample: Sample, factor: int, dims: int) -> Sample:
    """A sample whose last `dims` axes are shrunk by means over blocks; centres move along."""
    if factor == 1:
        return sample
    kernel = [1] * (len(sample.shape) - dims) + [factor] * dims
    pool = F.avg_pool2d if len(kernel) == 2 else F.avg_pool3d
    stack = pool(sample.stack[None], kernel, ceil_mode=True, count_include_pad=False)[0]
    return replace(sample, stack=stack, centres=tuple(inside // kernel for inside in sample.centres))
