"""Batch normalisation of averaged weights: means and variances measured anew once a training ends."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hilum.models.parts import NORMS
from hilum.planning.plan import TrainingPlan

STEPS_A_BATCH = 30  # one batch is looked at for so many steps of training, which takes about 1 % of its time


def count_batches(plan: TrainingPlan, steps: int) -> int:
    """Batches that the statistics are measured on: as many as planned, fewer after few steps.

    >>> count_batches(TrainingPlan(norm_batches=60), 6000), count_batches(TrainingPlan(norm_batches=60), 300)
    (60, 10)
    """
    return min(plan.norm_batches, max(1, steps // STEPS_A_BATCH)) if plan.norm_batches else 0


@torch.no_grad()
def renew_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measure the running means and variances of a network on inputs (B, C, *S), in place.

    Averaged weights have other activations than the networks they are the average of, whose statistics
    were averaged with them (Izmailov et al. 2018, section 3.2). Dropout stays off.
    """
    norms = [part for part in network.modules() if isinstance(part, NORMS) and part.track_running_stats]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], network.training
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for x in batches:
        network(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)
