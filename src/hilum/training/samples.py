"""What the network learns from: prepared images with their annotation, held in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CENTRES = 4096


@dataclass(frozen=True, eq=False)
class Sample:
    """One training image: `stack` (C + T, *S) holds the prepared image, then the share of each target.

    `known` (K,) is 1 for outputs that are annotated; `label` (K,) holds 0 to 1 for a whole image.
    `centres` lists, for each target, pixels inside it (N, dims) to centre crops on; further lists may follow.
    A volume (C + T, Z, Y, X) learnt slice by slice shows `neighbours` slices on either side as channels.
    """

    name: str
    stack: Tensor
    channels: int
    known: Tensor
    label: Tensor | None = None
    centres: tuple[NDArray[np.int32], ...] = ()
    weight: float = 1.0
    neighbours: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return tuple(self.stack.shape[1:])


def masked_sample(name: str, image: Tensor, mask: Tensor, known: Tensor, weight: float = 1.0) -> Sample:
    """A Sample of a prepared image (C, *S) with its target shares (T, *S)."""
    return Sample(name, torch.cat([image, mask]), len(image), known, None, centres_of(mask), weight)


def centres_of(mask: Tensor) -> tuple[NDArray[np.int32], ...]:
    """Pixels (N, dims) inside each target of shares (T, *S), at most 4,096 of each, always the same ones."""
    rng = np.random.default_rng(0)
    return tuple(_some_inside(channel, rng) for channel in mask)


def labelled_sample(name: str, image: Tensor, label: Tensor, known: Tensor, weight: float = 1.0) -> Sample:
    """A Sample of a prepared image (C, *S) with a label (K,) for the whole of it."""
    return Sample(name, image, len(image), known, label, (), weight)


def _some_inside(share: Tensor, rng: np.random.Generator) -> NDArray[np.int32]:
    inside = np.argwhere(share.numpy() > 0.5).astype(np.int32)
    return (
        inside if len(inside) <= CENTRES else inside[np.sort(rng.choice(len(inside), CENTRES, replace=False))]
    )
