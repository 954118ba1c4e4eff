"""Slices of volumes with their neighbours as channels ("2.5D"), for networks that work in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hilum.training.samples import Sample


def slabs(x: Tensor, planes: Sequence[int], neighbours: int) -> Tensor:
    """Slices of a volume (C, Z, Y, X), each with `neighbours` on either side: (B, (2n + 1) * C, Y, X).

    Channels come slice by slice, the lowest first; beyond the ends the outermost slice is repeated.

    >>> slabs(torch.arange(3.0).reshape(1, 3, 1, 1), [0, 2], 1).flatten(1).tolist()
    [[0.0, 0.0, 1.0], [1.0, 2.0, 2.0]]
    """
    channels, depth, *plane = x.shape
    around = torch.as_tensor(planes)[:, None] + torch.arange(-neighbours, neighbours + 1)
    picked = x[:, around.clamp(0, depth - 1).reshape(-1)]
    apart = picked.reshape(channels, len(planes), 2 * neighbours + 1, *plane)
    return apart.permute(1, 2, 0, 3, 4).reshape(len(planes), -1, *plane)


def slice_of(sample: Sample, plane: int, upside_down: bool = False) -> Sample:
    """One slice of a volume sample as a sample of its own; `upside_down` mirrors its neighbours along z."""
    image = sample.stack[: sample.channels]
    seen = slabs(image.flip(1), [image.shape[1] - 1 - plane], sample.neighbours) if upside_down else None
    seen = slabs(image, [plane], sample.neighbours) if seen is None else seen
    stack = torch.cat([seen[0], sample.stack[sample.channels :, plane]])
    channels = seen.shape[1]
    return replace(sample, name=f"{sample.name} z{plane}", stack=stack, channels=channels, centres=())


def all_slices(samples: Sequence[Sample], min_share: float = 0.0) -> list[Sample]:
    """Every slice of volume samples with at least `min_share` of a known target; others as they are.

    The target is looked at in the volume, before anything is copied.
    """
    return [part for sample in samples for part in _slices(sample, min_share)]


def _slices(sample: Sample, min_share: float) -> list[Sample]:
    if len(sample.shape) != 3 or sample.label is not None:
        return [sample]
    inside = (sample.stack[sample.channels :] > 0.5).flatten(2).float().mean(2) * sample.known[:, None]
    largest = inside.amax(0) if len(inside) else torch.zeros(sample.shape[0])
    return [slice_of(sample, int(plane)) for plane in torch.nonzero(largest >= min_share)[:, 0]]
