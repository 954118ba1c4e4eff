"""The U-Net of the 256 x 256 medical segmentation tutorial."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import parts

WIDTHS = (64, 128, 256, 512, 1024)


class Medical256(nn.Module):
    """U-Net with five levels, ReLU and dropout: images (N, C, Y, X) to logits (N, out_channels, Y, X).

    Two 3x3 convolutions a level and max pooling down, dropout after the two lowest; up by nearest
    neighbours and a 2x2 convolution, concatenation with the encoder, two convolutions; a 3x3 convolution to
    two channels for each output, then the 1x1 head. Sides must be multiples of 16 (256 in the original);
    31,031,685 parameters at one channel. Weights start He normal, biases zero.
    Raises PlanError for sides that do not fit.
    After a medical segmentation tutorial, 2018, and its Keras U-Net by Zhixuhao;
    U-Net: Ronneberger et al. 2015.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        widths: Sequence[int] = WIDTHS,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = parts.wholes("widths", widths, length=2)
        self.in_channels = in_channels
        self.divisor = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            parts.convolutions(channels, width, 2, nn.ReLU)
            for channels, width in zip((in_channels, *widths[:-1]), widths, strict=True)
        )
        self.dropout = nn.Dropout(parts.share("dropout", dropout))
        self.up = nn.ModuleList(
            _Up(below, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = parts.convolutions(widths[0], 2 * out_channels, 1, nn.ReLU)
        self.head = nn.Conv2d(2 * out_channels, out_channels, 1)
        parts.keras_weights_(self, he_normal=True)
        nn.init.xavier_uniform_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels, Y, X) of images (N, C, Y, X)."""
        parts.check_input(x, self.in_channels, self.divisor)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            if level >= len(self.down) - 2:
                x = self.dropout(x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(x, skips.pop())
        logits: Tensor = self.head(self.last(x))
        return logits

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return [*parts.level_names(self, "down", "up"), "last"]


class _Up(nn.Module):
    """One level up: enlarge by nearest neighbours and a 2x2 convolution, join the encoder, convolve twice."""

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.enlarge = nn.Conv2d(below, width, 2)
        self.join = parts.convolutions(2 * width, width, 2, nn.ReLU)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # Keras' "same" pads an even kernel by one more after the image than before it.
        enlarged = F.relu(self.enlarge(F.pad(F.interpolate(x, scale_factor=2.0), (0, 1, 0, 1))))
        joined: Tensor = self.join(torch.cat([skip, enlarged], dim=1))
        return joined
