"""Hooks that see what the layers of a network make of a prepared image."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from torch import nn
from torch.utils.hooks import RemovableHandle

Hook = Callable[[nn.Module, object, object], object]


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
