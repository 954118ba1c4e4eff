"""What several networks are made of: checks at their door, and the weights that Keras would have drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hilum.errors import PlanError

# A standard normal cut off at two has this standard deviation; Keras divides by it to make up for the cut.
_CUT_NORMAL_STD = 0.87962566103423978

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value` as a whole number of at least `least`, else PlanError naming the setting."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise PlanError(f"{name} = {value!r} must be a whole number of at least {least}")
    return value


def wholes(name: str, value: Any, length: int = 1) -> tuple[int, ...]:
    """`value` as at least `length` whole numbers above zero, else PlanError naming the setting."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) < length:
        raise PlanError(f"{name} = {value!r} must be a list of at least {length} whole numbers")
    return tuple(whole(name, item) for item in value)


def share(name: str, value: Any) -> float:
    """`value` as a number from 0 up to, but not, 1, else PlanError naming the setting."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise PlanError(f"{name} = {value!r} must be a number from 0 up to, but not, 1")
    return float(value)


def check_input(x: Tensor, in_channels: int, divisor: int = 1, dims: int = 2) -> None:
    """Raise PlanError where a batch (N, C, Y, X) does not fit: wrong axes or channels, sides not multiples.

    The message gives the size to pad to. While a network is traced or exported nothing is checked.
    """
    if is_recorded():
        return
    axes = "N, C, Y, X" if dims == 2 else "N, C, Z, Y, X"
    if x.ndim != dims + 2:
        raise PlanError(f"the network takes batches ({axes}), got an array of shape {tuple(x.shape)}")
    if x.shape[1] != in_channels:
        raise PlanError(f"the network was made for {in_channels} channel(s), the image has {x.shape[1]}")
    sides = tuple(x.shape[2:])
    if any(side < 1 or side % divisor for side in sides):
        padded = [max(1, math.ceil(side / divisor)) * divisor for side in sides]
        raise PlanError(
            f"the network takes images whose sides are multiples of {divisor}, got {_by(sides)}: "
            f"pad or resize them to {_by(padded)}"
        )


def is_recorded() -> bool:
    """Whether the network is being traced or exported, where sizes are symbols that no check may fix."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def level_names(net: nn.Module, *lists: str) -> list[str]:
    """Names of the parts of a network's module lists, one list after the other: "down.0", "down.1", ..."""
    return [f"{each}.{name}" for each in lists for name, _ in net.get_submodule(each).named_children()]


def keras_weights_(net: nn.Module, he_normal: bool = False) -> None:
    """Draw all weights anew as Keras does by default: Glorot uniform, biases zero.

    With `he_normal` kernels follow He et al. 2015 (a normal cut at two standard deviations) instead.
    """
    for module in net.modules():
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            (_he_normal_ if he_normal else nn.init.xavier_uniform_)(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def keras_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with Keras' defaults: epsilon 0.001, running statistics that keep 0.99 a step."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def convolutions(channels: int, width: int, count: int, activation: type[nn.Module]) -> nn.Sequential:
    """`count` 3x3 convolutions to `width` channels, each with its activation; sides are kept."""
    parts: list[nn.Module] = []
    for index in range(count):
        parts += [nn.Conv2d(width if index else channels, width, 3, padding=1), activation()]
    return nn.Sequential(*parts)


def _he_normal_(weight: Tensor) -> None:
    fan_in = weight[0].numel()
    std = math.sqrt(2 / fan_in) / _CUT_NORMAL_STD
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def _by(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))
