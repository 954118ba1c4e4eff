"""A small residual network for classification from scratch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from hilum.errors import PlanError
from hilum.models import parts
from hilum.models.unet import CONV, NORM, space_to_depth

BLOCKS = (1, 1, 1)
MOST_BLOCKS = 200


class ResNet(nn.Module):
    """Residual classifier: images (N, C, Y, X) or (N, C, Z, Y, X) to logits (N, out_channels).

    `blocks` gives the residual blocks of each stage; the first stage has `width` channels, each further one
    twice as many at half the size. `stem` (1, 2 or 4) moves that many pixels along each axis into channels
    first, for larger images. `attention` adds squeeze-and-excitation to each block, `dropout` acts before the
    last layer, `dims` is 2 or 3. Any image size goes. `pool` is "mean" or "middle": of the last map
    only what lies in the middle decides, as for a candidate; its surroundings are in the receptive field.
    Raises PlanError for a setting out of range.

    After He et al. 2016; average pooling in the shortcut and last scale started at zero as in He et al. 2019
    ("Bag of tricks"), squeeze-and-excitation from Hu et al. 2018.

    >>> import torch
    >>> ResNet(1, width=8)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        width: int = 32,
        blocks: Sequence[int] = BLOCKS,
        stem: int = 1,
        dropout: float = 0.3,
        attention: bool = False,
        dims: int = 2,
        pool: str = "mean",
    ) -> None:
        super().__init__()
        if pool not in _POOLS:
            raise PlanError(f"pool = {pool!r} must be {' or '.join(_POOLS)}")
        self.pool = _POOLS[pool]
        blocks = parts.wholes("blocks", blocks)
        if sum(blocks) > MOST_BLOCKS:
            raise PlanError(f"blocks = {list(blocks)} are more than {MOST_BLOCKS} in all")
        if dims not in CONV or stem not in (1, 2, 4):
            raise PlanError(f"dims = {dims!r} must be 2 or 3, stem = {stem!r} must be 1, 2 or 4")
        self.in_channels, self.dims, self.factor = in_channels, dims, stem
        widths = [parts.whole("width", width) * 2**stage for stage in range(len(blocks))]
        self.stem = _convolution(in_channels * stem**dims, width, dims, kernel=3, relu=True)
        self.stages = nn.ModuleList()
        for stage, count in enumerate(blocks):
            before = widths[max(stage - 1, 0)]
            first = _Block(before, widths[stage], dims, stride=2 if stage else 1, attention=attention)
            rest = (_Block(widths[stage], widths[stage], dims, 1, attention) for _ in range(count - 1))
            self.stages.append(nn.Sequential(first, *rest))
        self.dropout = nn.Dropout(parts.share("dropout", dropout))
        self.head = nn.Linear(widths[-1], out_channels)
        _initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """The last stage's map (N, channels, Y', X') or (N, channels, Z', Y', X'), before pooling."""
        parts.check_input(x, self.in_channels, dims=self.dims)
        x = self.stem(_fold(x, self.factor))
        for stage in self.stages:
            x = stage(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels) of images (N, C, Y, X) or (N, C, Z, Y, X)."""
        pooled = self.pool(self.features(x))
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def feature_layers(self) -> list[str]:
        """Names of the layers worth looking at, from input to output."""
        return ["stem", *parts.level_names(self, "stages")]


def _mean(x: Tensor) -> Tensor:
    return x.flatten(2).mean(2)


def _middle(x: Tensor) -> Tensor:
    """Mean (N, C) of the one or two middle places along each axis."""
    for axis in range(2, x.ndim):
        first = (x.shape[axis] - 1) // 2
        x = x.narrow(axis, first, x.shape[axis] // 2 + 1 - first)
    return _mean(x)


_POOLS = {"mean": _mean, "middle": _middle}


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, width: int, dims: int, stride: int, attention: bool) -> None:
        super().__init__()
        self.first = _convolution(channels, width, dims, kernel=3, stride=stride, relu=True)
        self.second = _convolution(width, width, dims, kernel=3)
        self.attention = _Attention(width) if attention else nn.Identity()
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(_Halve())
        if stride > 1 or channels != width:
            self.shortcut.extend(_convolution(channels, width, dims, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.attention(self.second(self.first(x)))
        return F.relu(changed + self.shortcut(x))


class _Attention(nn.Module):
    """Squeeze-and-excitation: each channel is weighed by what the whole image says (Hu et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, max(width // 8, 4))
        self.excite = nn.Linear(max(width // 8, 4), width)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.excite(F.relu(self.squeeze(x.flatten(2).mean(2)))).sigmoid()
        weighed: Tensor = x * weight.reshape(*weight.shape, *(1 for _ in x.shape[2:]))
        return weighed


class _Halve(nn.Module):
    """Mean of blocks of two pixels along each axis; an odd side is rounded up."""

    def forward(self, x: Tensor) -> Tensor:
        pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
        return pool(_completed(x, 2), 2)


def _fold(x: Tensor, factor: int) -> Tensor:
    """Fold blocks of `factor` pixels into channels, whatever the size."""
    return space_to_depth(_completed(x, factor), factor)


def _completed(x: Tensor, factor: int) -> Tensor:
    """Continue each side by its last row until it is a multiple of `factor`."""
    missing = [part for side in reversed(x.shape[2:]) for part in (0, -side % factor)]
    return F.pad(x, missing, mode="replicate") if any(missing) else x


def _convolution(
    channels: int, width: int, dims: int, kernel: int, stride: int = 1, relu: bool = False
) -> nn.Sequential:
    convolution = CONV[dims](channels, width, kernel, stride, kernel // 2, bias=False)
    layers: list[nn.Module] = [convolution, NORM[dims](width)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, parts.CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, _Block):
            nn.init.zeros_(module.second.get_parameter("1.weight"))
