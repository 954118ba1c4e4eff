"""Small moves of a whole image, whose answers are averaged: the label stays, the sampling noise does not."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

TURN_DEG = 7.0
ZOOM = 0.1
SHIFT = 0.04


def moved_copies(x: Tensor) -> Tensor:
    """Images (B, C, Y, X) as nine versions each, (9 B, C, Y, X): the first B are the images themselves.

    The others are turned by 7 degrees each way, zoomed by a tenth each way and shifted by 4 % of the side
    each way along both axes, reflected beyond the border. Volumes are given back as they are.

    >>> moved_copies(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([18, 1, 8, 8])
    """
    if x.ndim != 4:
        return x
    return torch.cat([x, *(_moved(x, matrix) for matrix in _matrices())])


def _matrices() -> Iterator[Tensor]:
    for angle in (math.radians(TURN_DEG), -math.radians(TURN_DEG)):
        yield _matrix([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    for zoom in (1 - ZOOM, 1 + ZOOM):
        yield _matrix([[zoom, 0.0, 0.0], [0.0, zoom, 0.0]])
    for shift in (2 * SHIFT, -2 * SHIFT):  # a side is two units long
        yield _matrix([[1.0, 0.0, shift], [0.0, 1.0, 0.0]])
        yield _matrix([[1.0, 0.0, 0.0], [0.0, 1.0, shift]])


def _matrix(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows)[None]


def _moved(x: Tensor, matrix: Tensor) -> Tensor:
    # Both axes are two units long, whatever their pixels: a turn in pixels mixes them by their lengths.
    height, width = x.shape[-2:]
    matrix = matrix * torch.tensor([[1.0, height / width, 1.0], [width / height, 1.0, 1.0]])
    grid = F.affine_grid(matrix.expand(x.shape[0], 2, 3), list(x.shape), align_corners=False).to(x.device)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
