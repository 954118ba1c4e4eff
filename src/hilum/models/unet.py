"""A U-Net that works on half the size from its first layer on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hilum.errors import PlanError
from hilum.models import parts

DEEPEST = 10
GROUP = 16
CONV = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """Fold blocks of `factor` pixels an axis into channels: (B, C, *S) -> (B, C * factor**d, *S / factor).

    >>> space_to_depth(torch.zeros(1, 3, 8, 8), 2).shape
    torch.Size([1, 12, 4, 4])
    """
    if factor == 1:
        return x
    if x.ndim == 4:
        return F.pixel_unshuffle(x, factor)
    b, c, z, y, x_ = x.shape
    f = factor
    x = x.reshape(b, c, z // f, f, y // f, f, x_ // f, f)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * f**3, z // f, y // f, x_ // f)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """The inverse of `space_to_depth`."""
    if factor == 1:
        return x
    if x.ndim == 4:
        return F.pixel_shuffle(x, factor)
    b, c, z, y, x_ = x.shape
    f = factor
    x = x.reshape(b, c // f**3, f, f, f, z, y, x_)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // f**3, z * f, y * f, x_ * f)


def widths_of(dims: int, width: int, depth: int, stem: int, max_width: int) -> list[int]:
    """Channels from the finest level to the coarsest. Raises PlanError for settings that make no network."""
    if dims not in CONV or stem not in (1, 2, 4, 8) or parts.whole("depth", depth) > DEEPEST:
        raise PlanError(
            f"dims = {dims!r} must be 2 or 3, stem = {stem!r} must be 1, 2, 4 or 8, depth = {depth!r} at "
            f"most {DEEPEST}"
        )
    width, max_width = parts.whole("width", width), parts.whole("max_width", max_width)
    return [min(width * 2**level, max_width) for level in range(depth + 1)]


def check_sides(x: Tensor, divisor: int) -> None:
    """Raise PlanError where a side of (B, C, *S) is no multiple of `divisor`, with the sides to pad to."""
    if any(size % divisor for size in x.shape[2:]):
        fits = tuple(-(-size // divisor) * divisor for size in x.shape[2:])
        raise PlanError(
            f"input of {tuple(x.shape[2:])} does not fit this U-Net: each side must be a multiple of "
            f"{divisor}; pad to {fits}"
        )


def norm_of(channels: int, dims: int, group_from: int = 0) -> nn.Module:
    """Normalisation of (B, C, *S): by batch, or by groups of channels of each image (Wu and He 2018).

    Groups of `GROUP` channels are taken from `group_from` channels on (0: nowhere); channels that these do
    not divide are one group. Raises PlanError where `group_from` is no whole number of at least 0.

    >>> norm_of(128, 2, group_from=128).num_groups
    8
    """
    if not 0 < parts.whole("group_from", group_from, 0) <= channels:
        return NORM[dims](channels)
    return nn.GroupNorm(1 if channels % GROUP else channels // GROUP, channels)


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions, each with normalisation (`norm_of`) and ReLU: (B, C, *S) -> (B, out, *S)."""

    def __init__(self, in_channels: int, out_channels: int, dims: int, group_from: int = 0) -> None:
        conv = CONV[dims]
        super().__init__(
            conv(in_channels, out_channels, 3, padding=1, bias=False),
            norm_of(out_channels, dims, group_from),
            nn.ReLU(inplace=True),
            conv(out_channels, out_channels, 3, padding=1, bias=False),
            norm_of(out_channels, dims, group_from),
            nn.ReLU(inplace=True),
        )


def encoder_of(in_channels: int, widths: Sequence[int], dims: int, group_from: int = 0) -> nn.ModuleList:
    """A block for each level, from the finest to the coarsest."""
    before = [in_channels, *widths[:-1]]
    return nn.ModuleList(
        ConvBlock(below, own, dims, group_from) for below, own in zip(before, widths, strict=True)
    )


def encoded(x: Tensor, encoder: Iterable[nn.Module], pool: nn.Module) -> list[Tensor]:
    """What each level of an encoder makes of (B, C, *S), halved in size before all but the first."""
    found: list[Tensor] = []
    for block in encoder:
        found.append(block(pool(found[-1]) if found else x))
    return found


def level_names(network: nn.Module) -> list[str]:
    """Names of the levels of a U-Net's `encoder` and `decoder`, from input to output."""
    names = [name for name, _ in network.named_modules() if name.count(".") == 1]
    return [name for way in ("encoder", "decoder") for name in names if name.startswith(f"{way}.")]


class UNet(nn.Module):
    """U-Net with a space-to-depth stem: (B, C, *S) -> logits (B, out_channels, *S).

    After Ronneberger et al. 2015 (U-Net); the stem and its inverse at the end after Shi et al. 2016
    (sub-pixel convolution). Every side of the input must be a multiple of `divisor`. Levels of `group_from`
    channels and more (0: none) are normalised by groups, see `norm_of`.

    >>> UNet(3, 2, width=8, depth=2)(torch.zeros(1, 3, 16, 24)).shape
    torch.Size([1, 2, 16, 24])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        width: int = 16,
        depth: int = 5,
        stem: int = 2,
        max_width: int = 256,
        group_from: int = 0,
    ) -> None:
        super().__init__()
        widths = widths_of(dims, width, depth, stem, max_width)
        self.stem, self.divisor = stem, stem * 2**depth
        folded = stem**dims
        self.encoder = encoder_of(in_channels * folded, widths, dims, group_from)
        self.decoder = nn.ModuleList(
            ConvBlock(widths[level] + widths[level + 1], widths[level], dims, group_from)
            for level in reversed(range(depth))
        )
        self.pool = POOL[dims](2)
        self.head = CONV[dims](widths[0], out_channels * folded, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the same spatial size as `x`. Raises PlanError where a side does not fit."""
        check_sides(x, self.divisor)
        *skips, x = encoded(space_to_depth(x, self.stem), self.encoder, self.pool)
        for block in self.decoder:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], 1))
        return depth_to_space(self.head(x), self.stem)

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return level_names(self)
