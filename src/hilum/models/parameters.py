"""How many numbers a network holds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Parameters:
    """Counts of a network: `total` with the running statistics of batch normalisation, and `trainable`."""

    total: int
    trainable: int

    def __str__(self) -> str:
        return f"{self.total:,} parameters, {self.trainable:,} of them trainable"


def count_parameters(net: nn.Module) -> Parameters:
    """Count as Keras does: running mean and variance are parameters too, but not trainable.

    >>> print(count_parameters(nn.BatchNorm2d(8)))
    32 parameters, 16 of them trainable
    """
    parameters = list(net.parameters())
    return Parameters(
        total=sum(each.numel() for each in parameters) + sum(map(_running, net.modules())),
        trainable=sum(each.numel() for each in parameters if each.requires_grad),
    )


def _running(module: nn.Module) -> int:
    if not isinstance(module, _BatchNorm):
        return 0
    statistics = (module.running_mean, module.running_var)
    return sum(each.numel() for each in statistics if each is not None)
