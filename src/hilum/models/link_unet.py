"""The planned default for segmenting images: a U-Net whose skips are added, at two thirds of the time."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hilum.models.unet import (
    CONV,
    POOL,
    check_sides,
    depth_to_space,
    encoded,
    encoder_of,
    level_names,
    norm_of,
    space_to_depth,
    widths_of,
)


class LinkUNet(nn.Module):
    """U-Net with added skips and a space-to-depth stem: (B, C, *S) -> logits (B, out_channels, *S).

    On the way up features are narrowed by a 1x1 convolution before they are enlarged, skips are added as in
    LinkNet (Chaurasia and Culurciello 2017), and one convolution follows: two thirds of the time of a step
    of `unet`, which few images are better spent on than on depth (`bench/NOTES.md`). Every side of the input
    must be a multiple of `divisor`. Levels of `group_from` channels and more (0: none) are normalised by
    groups, see `hilum.models.unet.norm_of`.

    >>> import torch
    >>> LinkUNet(3, 2, width=8, depth=2)(torch.zeros(1, 3, 16, 24)).shape
    torch.Size([1, 2, 16, 24])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        width: int = 16,
        depth: int = 4,
        stem: int = 2,
        max_width: int = 256,
        group_from: int = 0,
    ) -> None:
        super().__init__()
        widths = widths_of(dims, width, depth, stem, max_width)
        self.stem, self.divisor = stem, stem * 2**depth
        folded = stem**dims
        self.encoder = encoder_of(in_channels * folded, widths, dims, group_from)
        ways = [(widths[level + 1], widths[level]) for level in reversed(range(depth))]
        self.narrow = nn.ModuleList(
            nn.Sequential(CONV[dims](below, here, 1, bias=False), norm_of(here, dims, group_from))
            for below, here in ways
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(
                CONV[dims](here, here, 3, padding=1, bias=False),
                norm_of(here, dims, group_from),
                nn.ReLU(inplace=True),
            )
            for _, here in ways
        )
        self.pool = POOL[dims](2)
        self.head = CONV[dims](widths[0], out_channels * folded, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the same spatial size as `x`. Raises PlanError where a side does not fit."""
        check_sides(x, self.divisor)
        *skips, x = encoded(space_to_depth(x, self.stem), self.encoder, self.pool)
        for narrow, block in zip(self.narrow, self.decoder, strict=True):
            x = block(F.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + skips.pop())
        return depth_to_space(self.head(x), self.stem)

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return level_names(self)
