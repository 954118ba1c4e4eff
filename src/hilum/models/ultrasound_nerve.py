"""The U-Net of the ultrasound nerve tutorial, which the lung nodule tutorial took over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import parts

WIDTHS = (32, 64, 128, 256, 512)


class UltrasoundNerve(nn.Module):
    """U-Net with five levels and ReLU: images (N, C, Y, X) to logits (N, out_channels, Y, X).

    Two 3x3 convolutions a level, max pooling down, 2x2 transposed convolutions up, concatenation with the
    encoder, 1x1 head. Sides must be multiples of 16 (64 x 80 and 96 x 96 for nerves, 512 x 512 for nodules);
    7,759,521 parameters at one channel. Weights start Glorot uniform, biases zero.
    Raises PlanError for sides that do not fit.
    After M. Jocić's tutorial for the Kaggle ultrasound nerve challenge, 2016, and the Data Science Bowl's
    nodule tutorial, 2017; U-Net: Ronneberger et al. 2015.
    """

    def __init__(self, in_channels: int, out_channels: int = 1, *, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        widths = parts.wholes("widths", widths, length=2)
        self.in_channels = in_channels
        self.divisor = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            parts.convolutions(channels, width, 2, nn.ReLU)
            for channels, width in zip((in_channels, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            _Up(below, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], out_channels, 1)
        parts.keras_weights_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels, Y, X) of images (N, C, Y, X)."""
        parts.check_input(x, self.in_channels, self.divisor)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return parts.level_names(self, "down", "up")


class _Up(nn.Module):
    """One level up: enlarge by a transposed convolution, join what the encoder kept, convolve twice."""

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(below, width, 2, stride=2)
        self.join = parts.convolutions(2 * width, width, 2, nn.ReLU)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.join(torch.cat([self.enlarge(x), skip], dim=1))
        return joined
