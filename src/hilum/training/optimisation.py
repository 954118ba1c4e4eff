"""Optimiser, learning-rate schedule and the running average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hilum.planning.plan import TrainingPlan

# The average takes in so many first steps, then one in so many, if it is over ten steps or more.
EVERY_STEP, EVERY, LONG = 32, 4, 0.9
STEPS_A_BATCH = 30  # one batch is looked at for so many steps of training, which takes about 1 % of its time


def channels_last(network: nn.Module) -> nn.Module:
    """Lay convolution weights out with channels last, which convolutions on processors are fastest with."""
    for parameter in network.parameters():
        if parameter.ndim in (4, 5):
            layout = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network


class Weights:
    """A network's weights as its optimiser sees them: `views`, whose axes follow memory.

    PyTorch's fused optimisers copy what lies channels last before and after every step, which takes as
    long as the step. The views share the network's memory; gradients are handed over before each step.
    """

    def __init__(self, network: nn.Module) -> None:
        self._of = list(network.parameters())
        self.views = [nn.Parameter(_in_memory_order(p.detach()), p.requires_grad) for p in self._of]

    def take_gradients(self) -> None:
        """Give the views the gradients that the network's parameters have."""
        for view, parameter in zip(self.views, self._of, strict=True):
            gradient = parameter.grad
            view.grad = None if gradient is None else _in_memory_order(gradient).contiguous()

    def clear_gradients(self) -> None:
        """Let go of all gradients."""
        for parameter in (*self.views, *self._of):
            parameter.grad = None


def _in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """Weights (O, I, *S), which `channels_last` lays out with I innermost, as (O, *S, I)."""
    return tensor.movedim(1, -1) if tensor.ndim in (4, 5) else tensor


def make_optimiser(parameters: Iterable[nn.Parameter], plan: TrainingPlan) -> torch.optim.Optimizer:
    """The optimiser of a plan; norms and biases are not decayed."""
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    # Fabric clips no gradients that it scales (16-mixed) of optimisers that unscale them themselves.
    fused = plan.precision != "16-mixed"
    match plan.optimiser:
        case "adamw":
            return torch.optim.AdamW(groups, lr=plan.learning_rate, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, lr=plan.learning_rate, fused=fused)
        case _:
            return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=0.9, nesterov=True, fused=fused)


def clip_gradients(optimiser: torch.optim.Optimizer, views: Iterable[nn.Parameter], largest: float) -> Tensor:
    """Let a fused optimiser's next step shrink gradients to a norm of at most `largest`; the norm they have.

    It divides them while it reads them, which saves a pass over all of them.
    """
    norms = torch._foreach_norm([view.grad for view in views if view.grad is not None])
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    optimiser.grad_scale = (norm / largest).clamp(min=1.0)  # type: ignore[attr-defined]
    return norm


def learning_rate(plan: TrainingPlan, step: int, steps: int) -> float:
    """Learning rate at a step: linear warm-up, then cosine to zero over the planned steps, or constant.

    >>> learning_rate(TrainingPlan(warmup=0, learning_rate=1.0), 50, 100)
    0.5
    """
    warm = min(1.0, (step + 1) / plan.warmup) if plan.warmup else 1.0
    if plan.schedule != "cosine":
        return plan.learning_rate * warm
    return round(plan.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps)), 12)


def count_batches(plan: TrainingPlan, steps: int) -> int:
    """Batches that averaged weights are normalised by: as many as planned, fewer after few steps.

    >>> count_batches(TrainingPlan(norm_batches=60), 6000), count_batches(TrainingPlan(norm_batches=60), 300)
    (60, 10)
    """
    return min(plan.norm_batches, max(1, steps // STEPS_A_BATCH)) if plan.norm_batches else 0


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = value


_Pairs = tuple[list[torch.Tensor], list[torch.Tensor]]


class WeightAverage:
    """Exponential moving average of weights and buffers (after Polyak and Juditsky 1992), warmed up.

    `network` holds the averaged weights and is what is kept and used.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay = decay
        self._of: nn.Module | None = None
        self._floating: _Pairs = ([], [])
        self._counted: _Pairs = ([], [])

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards `network`; early steps count more.

        Later on every fourth step counts fourfold, which long averages take no notice of but in time.
        """
        counted = EVERY if step >= EVERY_STEP and self.decay >= LONG else 1
        if (step + 1) % counted:
            return
        decay = min(self.decay, (1 + step) / (10 + step)) ** counted
        if self._of is not network:
            self._pair_with(network)
        torch._foreach_lerp_(*self._floating, 1 - decay)
        if self._counted[0]:
            torch._foreach_copy_(*self._counted)

    def _pair_with(self, network: nn.Module) -> None:
        """Gather averaged and current tensors once: those that are averaged, and those that count."""
        mine, theirs = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in mine.items() if value.dtype.is_floating_point]
        others = [name for name in mine if name not in set(floating)]
        self._floating, self._counted = (
            ([mine[name] for name in names], [theirs[name] for name in names]) for names in (floating, others)
        )
        self._of = network
