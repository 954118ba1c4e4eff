"""A plan fitted to the memory that is free: the batch shrinks until a step has room."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.errors import PlanError, TrainingError
from hilum.planning.plan import Plan
from hilum.training.run import make_network
from hilum.training.space import in_words

SHARE = 0.8
WEIGHT_COPIES = 6  # network, average, gradients, two moments, and the copy that a state is written from
BACKWARD = 2.0  # of the outputs of all layers: what the backward pass keeps and makes
VALUE_BYTES = 4


def fitted_to_memory(plan: Plan, free_bytes: int) -> Plan:
    """The plan with as large a batch as a step has memory for, at most the planned; a reason says so.

    Raises TrainingError where not even the smallest batch has room.
    """
    weights, sample = step_bytes(plan)
    room = free_bytes * SHARE - weights
    most, fewest = int(room // sample), max(1, plan.model.members)
    if plan.training.batch <= most:
        return plan
    if most < fewest:
        raise TrainingError(
            f"{plan.model.name} on {' x '.join(map(str, plan.training.patch))} needs about "
            f"{in_words(weights + sample * fewest)} of memory, {in_words(free_bytes)} are free; set a "
            "smaller patch or network (--set training.patch=[128,128] or --set model.settings={width: 8})"
        )
    smaller = plan.model_copy(deep=True)
    smaller.training.batch = most
    why = f"{plan.training.batch} would not fit into {in_words(free_bytes)} of free memory"
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

    channels = plan.data.channels * (2 * plan.data.neighbours + 1)
    members = max(1, plan.model.members)
    with torch.device("meta"):
        network = make_network(plan)
        for layer in network.modules():
            if not list(layer.children()):
                layer.register_forward_hook(count)
        try:
            network.train()(torch.zeros(2 * members, channels, *plan.training.patch))
        except RuntimeError as error:
            raise PlanError(f"{plan.model.name} takes no {plan.training.patch}: {error}") from error
    weights = sum(value.numel() for value in network.state_dict().values()) * VALUE_BYTES * WEIGHT_COPIES
    return weights, round(seen[0] / (2 * members) * VALUE_BYTES * BACKWARD)
