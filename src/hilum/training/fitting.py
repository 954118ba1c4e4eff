"""A plan fitted to the memory that is free: the batch shrinks until a step has room."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.errors import PlanError, TrainingError
from hilum.planning.plan import Plan
from hilum.planning.planner import SHRUNK
from hilum.training.run import make_network
from hilum.training.space import in_words
from hilum.training.stages import coarser_plan

SHARE = 0.8
WEIGHT_COPIES = 6  # network, average, gradients, two moments, and the copy that a state is written from
BACKWARD = 2.0  # of the outputs of all layers: what the backward pass keeps and makes
VALUE_BYTES = 4


def fitted_to_memory(plan: Plan, free_bytes: int, processes: int = 1) -> Plan:
    """The plan with as large a batch as a step has memory for, at most the planned; a reason says so.

    Each of the `processes` has `free_bytes` of its own and draws its part of a batch.
    Raises TrainingError where not even the smallest batch has room.
    """
    weights, sample = step_bytes(plan)
    room = free_bytes * SHARE - weights
    most, fewest = int(room // sample) * processes, max(1, plan.model.members) * processes
    if plan.training.batch <= most:
        return plan
    if most < fewest:
        least = weights + sample * fewest // processes
        raise TrainingError(
            f"{plan.model.name} on {' x '.join(map(str, plan.training.patch))} needs about "
            f"{in_words(least)} of memory, {in_words(free_bytes)} are free; set a "
            "smaller patch or network (--set training.patch=[128,128] or --set model.settings={width: 8})"
        )
    smaller = plan.model_copy(deep=True)
    smaller.training.batch = most
    why = f"{plan.training.batch} {SHRUNK} {in_words(free_bytes)} of free memory"
    smaller.reasons = {**plan.reasons, "training.batch": why}
    return smaller


def step_bytes(plan: Plan) -> tuple[int, int]:
    """Bytes that the weights take while training, and that each sample of a batch takes on top.

    Each sample goes through one member of a committee.
    A pass without values (PyTorch's meta device) tells the outputs of all layers.
    """
    seen = [0]

    def count(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen[0] += out.numel() if isinstance(out, Tensor) else 0

    channels = plan.data.seen_channels
    members = max(1, plan.model.members)
    with torch.device("meta"):
        network = make_network(plan)
        for layer in network.modules():
            if not list(layer.children()):
                layer.register_forward_hook(count)
        for factor in sorted({*plan.training.stages, 1}, reverse=True):
            seen[0], patch = 0, coarser_plan(plan.training, factor).patch
            stage = f"; in training.stages it is a {factor}th, say [1] there" if factor > 1 else ""
            try:
                network.train()(torch.zeros(2 * members, channels, *patch))
            except (PlanError, RuntimeError) as error:
                raise PlanError(f"{plan.model.name} takes no {patch}: {error}{stage}") from error
    weights = sum(value.numel() for value in network.state_dict().values()) * VALUE_BYTES * WEIGHT_COPIES
    return weights, round(seen[0] / (2 * members) * VALUE_BYTES * BACKWARD)
