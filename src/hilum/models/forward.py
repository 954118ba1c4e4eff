"""One pass of a network over prepared images, padded to what it takes: the same for whoever asks it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HALF = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def logits_of(network: nn.Module, x: Tensor, precision: str) -> Tensor:
    """Logits (B, K[, *S]) of images (B, C, *S), in single precision, on the network's device.

    `precision` is the plan's: `bf16-mixed`, `16-mixed` or `32-true`.
    """
    batch, half = padded_batch(network, x), HALF.get(precision)
    with torch.autocast(batch.device.type, half, enabled=half is not None):
        logits: Tensor = network(batch)
    return cropped(logits.float(), x.shape[2:]) if logits.ndim > 2 else logits.float()


def padded_batch(network: nn.Module, x: Tensor) -> Tensor:
    """Images (B, C, *S) on the network's device, padded by reflection to multiples of its divisor."""
    padded = pad_to(x, int(getattr(network, "divisor", 1))).to(next(network.parameters()).device)
    return padded.contiguous(
        memory_format=torch.channels_last if padded.ndim == 4 else torch.channels_last_3d
    )


def pad_to(x: Tensor, divisor: int) -> Tensor:
    """Pad (B, C, *S) at the far ends to multiples of `divisor`, by reflection where it is large enough."""
    missing = [-side % divisor for side in x.shape[2:]]
    if not any(missing):
        return x
    mode = (
        "reflect"
        if all(more < side for more, side in zip(missing, x.shape[2:], strict=True))
        else "replicate"
    )
    return F.pad(x, [end for more in reversed(missing) for end in (0, more)], mode=mode)


def cropped(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """The first `shape` pixels of each of the last axes: what padding had added is cut away."""
    lead = maps.ndim - len(shape)
    return maps[(*[slice(None)] * lead, *(slice(0, side) for side in shape))]
