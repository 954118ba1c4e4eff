"""Several networks that learn apart and answer together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Committee(nn.Module):
    """Networks of one kind as one: images (B, C, *S) to logits (B, K[, *S]).

    In training each member sees its own part of the batch, so that a step costs as much as with one network
    and members do not learn from each other; in evaluation their logits are averaged. A training batch needs
    at least as many images as there are members.

    >>> pair = Committee([nn.Linear(2, 1), nn.Linear(2, 1)])
    >>> pair(torch.zeros(4, 2)).shape, pair.eval()(torch.zeros(4, 2)).shape
    (torch.Size([4, 1]), torch.Size([4, 1]))
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.divisor = max(int(getattr(network, "divisor", 1)) for network in networks)

    def forward(self, x: Tensor) -> Tensor:
        """Logits: of each member for its part of the batch, or the mean of all members."""
        if self.training:
            parts = x.tensor_split(len(self.networks))
            return torch.cat([network(part) for network, part in zip(self.networks, parts, strict=True)])
        return torch.stack([network(x) for network in self.networks]).mean(0)

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, those of the first network first."""
        return [
            f"networks.{index}.{name}"
            for index, network in enumerate(self.networks)
            for name in getattr(network, "feature_layers", list)()
        ]
