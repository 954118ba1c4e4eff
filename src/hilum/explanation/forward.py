"""One pass of a network over a prepared image, padded to what the network takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hilum.inference.predictor import pad_to

Hook = Callable[[nn.Module, object, object], object]


def padded_batch(network: nn.Module, x: Tensor) -> Tensor:
    """Images (B, C, *S) on the network's device, padded by reflection to multiples of its divisor."""
    padded = pad_to(x, int(getattr(network, "divisor", 1))).to(next(network.parameters()).device)
    return padded.contiguous(
        memory_format=torch.channels_last if padded.ndim == 4 else torch.channels_last_3d
    )


def cropped(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """The first `shape` pixels of each of the last axes: what padding had added is cut away."""
    lead = maps.ndim - len(shape)
    return maps[(*[slice(None)] * lead, *(slice(0, side) for side in shape))]


def shrunken(shape: Sequence[int], padded: Sequence[int], small: Sequence[int]) -> tuple[int, ...]:
    """Sides that an image of `shape` takes up in maps of `small` sides, made from `padded` pixels.

    >>> shrunken((100, 64), (128, 64), (16, 8))
    (13, 8)
    """
    return tuple(-(-side * part // whole) for side, whole, part in zip(shape, padded, small, strict=True))


@contextlib.contextmanager
def hooked(network: nn.Module, hooks: dict[str, Hook]) -> Iterator[None]:
    """Forward hooks on layers by name, taken off again; the network is in evaluation form meanwhile."""
    training, handles = network.training, list[RemovableHandle]()
    network.eval()
    try:
        for name, hook in hooks.items():
            handles.append(network.get_submodule(name).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()
        network.train(training)
