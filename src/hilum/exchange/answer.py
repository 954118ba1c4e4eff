"""The networks of a run as one function: a prepared image in, mean probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hilum.inference.views import moved_copies
from hilum.planning.plan import Plan
from hilum.training.losses import activate

FACTORS = (2, 3, 4)


class Answer(nn.Module):
    """Networks that answer together: prepared images (B, C, *S) to probabilities (B, K[, *S]), 0 to 1.

    All folds are averaged in one graph, as `hilum predict` does. Turned and shifted copies are part of it;
    mirrored copies, padding and tiles are not, because they depend on the size of an image.
    """

    def __init__(self, networks: Sequence[nn.Module], plan: Plan) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.activation = plan.model.activation
        self.moves = plan.inference.moves and plan.data.dims == 2
        self.outputs = len(plan.data.outputs)
        self.divisor = max(int(getattr(network, "divisor", 1)) for network in networks)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities of prepared images."""
        seen = moved_copies(x) if self.moves else x
        parts = [activate(network(seen).float(), self.activation) for network in self.networks]
        mean = torch.stack(parts).mean(0)
        return mean.reshape(9, -1, self.outputs).mean(0) if self.moves else mean


@dataclass(frozen=True)
class Entry:
    """What a network takes: channels, and the sides (*S) if fixed, else the number that divides them."""

    channels: int
    dims: int
    divisor: int
    size: tuple[int, ...] | None = None

    def example(self) -> Tensor:
        """Two images of noise, sides all different where they may be."""
        sides = self.size or tuple(self.divisor * factor for factor in FACTORS[: self.dims])
        return torch.randn(2, self.channels, *sides, generator=torch.Generator().manual_seed(0))


def entry_of(plan: Plan, divisor: int) -> Entry:
    """What the networks of a plan take; images of one size keep it, brought to what the network divides."""
    channels = plan.data.seen_channels
    size = plan.data.size
    fixed = tuple(-(-side // divisor) * divisor for side in size) if size and plan.data.dims == 2 else None
    return Entry(channels, plan.data.dims, divisor, fixed)
