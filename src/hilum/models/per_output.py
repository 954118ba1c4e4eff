"""One network for each output, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PerOutput(nn.Module):
    """Networks of one output each as one network: (B, C, *S) -> logits (B, number of networks, *S).

    They share nothing, so that training them together is training each alone.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.divisor = max(int(getattr(network, "divisor", 1)) for network in networks)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of all networks, one channel each."""
        return torch.cat([network(x) for network in self.networks], 1)

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, those of the first network first."""
        return [
            f"networks.{index}.{name}"
            for index, network in enumerate(self.networks)
            for name in getattr(network, "feature_layers", list)()
        ]
