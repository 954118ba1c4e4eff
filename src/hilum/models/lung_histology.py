"""The U-Net of the lung histology tutorial."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import parts

WIDTHS = (64, 96, 128, 192, 256, 256, 256, 256)


class LungHistology(nn.Module):
    """U-Net with eight levels and ELU: images (N, C, Y, X) to logits (N, out_channels, Y, X).

    Two 3x3 convolutions a level and max pooling down, one convolution at the lowest; up by nearest
    neighbours, concatenation with the encoder and one convolution a level; one more convolution; 1x1 head.
    Sides must be multiples of 128 (512 in the original); 9,977,569 parameters at three channels.
    Weights start He normal, biases zero. Raises PlanError for sides that do not fit.
    After the lung influenza histology tutorial (LungNeuralNet), 2018; U-Net: Ronneberger et al. 2015.
    """

    def __init__(self, in_channels: int, out_channels: int = 1, *, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        widths = parts.wholes("widths", widths, length=2)
        self.in_channels = in_channels
        self.divisor = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            channels = widths[level - 1] if level else in_channels
            count = 1 if level == len(widths) - 1 else 2
            self.down.append(parts.convolutions(channels, width, count, nn.ELU))
        self.up = nn.ModuleList(
            parts.convolutions(below + width, width, 1, nn.ELU)
            for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = parts.convolutions(widths[0], widths[0], 1, nn.ELU)
        self.head = nn.Conv2d(widths[0], out_channels, 1)
        parts.keras_weights_(self, he_normal=True)
        nn.init.xavier_uniform_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels, Y, X) of images (N, C, Y, X)."""
        parts.check_input(x, self.in_channels, self.divisor)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skips.pop()], dim=1))
        logits: Tensor = self.head(self.last(x))
        return logits

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return [*parts.level_names(self, "down", "up"), "last"]
