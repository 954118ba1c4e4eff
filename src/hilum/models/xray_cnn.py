"""The convolutional network of the chest X-ray study."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hilum.errors import PlanError
from hilum.models import parts

WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)


class XrayCnn(nn.Module):
    """Plain classifier of eight convolutions: images (N, C, size, size) to logits (N, out_channels).

    Each level: 3x3 convolution, leaky ReLU, batch normalisation (from the third level on), 2x2 max pooling,
    dropout (the last three levels). Then flatten, dense with leaky ReLU, dropout, dense.
    7,352,017 parameters at three channels, 7,347,985 of them trainable. Weights start Glorot uniform, biases
    zero; the leaky slope is Keras' 0.3. Raises PlanError where an image is not size x size pixels.
    After a study of pediatric pneumonia X-rays (Kermany et al. 2018), 2020, which left the dropout rate open.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        size: int = 300,
        widths: Sequence[int] = WIDTHS,
        dense: int = 1024,
        dropout: float = 0.2,
        slope: float = 0.3,
    ) -> None:
        super().__init__()
        widths = parts.wholes("widths", widths)
        dropout, slope = parts.share("dropout", dropout), parts.share("slope", slope)
        self.in_channels = in_channels
        self.size = parts.whole("size", size, least=2 ** len(widths))
        side = self.size >> len(widths)
        self.flattened = (widths[-1], side, side)
        self.levels = nn.ModuleList()
        for level, width in enumerate(widths):
            channels = widths[level - 1] if level else in_channels
            rate = dropout if level >= len(widths) - 3 else 0.0
            self.levels.append(_level(channels, width, norm=level >= 2, dropout=rate, slope=slope))
        self.dense = nn.Linear(widths[-1] * side**2, parts.whole("dense", dense))
        self.tail = nn.Sequential(nn.LeakyReLU(slope), nn.Dropout(dropout))
        self.head = nn.Linear(dense, out_channels)
        parts.keras_weights_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels) of images (N, C, size, size)."""
        parts.check_input(x, self.in_channels)
        self._check_size(x)
        for level in self.levels:
            x = level(x)
        logits: Tensor = self.head(self.tail(self.dense(torch.flatten(x, 1))))
        return logits

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return [f"{level}.seen" for level in parts.level_names(self, "levels")]

    def _check_size(self, x: Tensor) -> None:
        if parts.is_recorded() or tuple(x.shape[2:]) == (self.size,) * 2:
            return
        raise PlanError(
            f"the network was made for images of exactly {self.size} x {self.size} pixels, got "
            f"{x.shape[2]} x {x.shape[3]}: resize them, or make the network with size={max(x.shape[2:])}"
        )


def _level(channels: int, width: int, norm: bool, dropout: float, slope: float) -> nn.Sequential:
    """One level; the part `seen` ends before the pooling, where feature maps are looked at."""
    seen = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(slope))
    if norm:
        seen.append(parts.keras_norm(width))
    level = nn.Sequential()
    level.add_module("seen", seen)
    level.add_module("pool", nn.MaxPool2d(2))
    if dropout:
        level.add_module("dropout", nn.Dropout(dropout))
    return level
