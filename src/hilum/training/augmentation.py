"""Moves, warps and recolours a batch: image and masks by one resampling, colour and noise after it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hilum.planning.plan import AugmentationPlan

_AXES = "xyz"
_CUBIC = {2: "bicubic", 3: "trilinear"}


def pixel_matrix(rng: np.random.Generator, plan: AugmentationPlan, dims: int) -> NDArray[np.float64]:
    """A random map of patch offsets to image offsets in pixels, (dims, dims), axes x, y(, z)."""
    zoom = math.exp(rng.uniform(-plan.scale, plan.scale))
    matrix = np.eye(dims) * zoom
    angle = math.radians(rng.uniform(-plan.rotate_deg, plan.rotate_deg))
    shear = math.tan(math.radians(rng.uniform(-plan.shear_deg, plan.shear_deg)))
    turn = np.eye(dims)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    if plan.tumble and dims == 3:
        turn = _any_turn(rng)
    slant = np.eye(dims)
    slant[0, 1] = shear
    flips = [-1.0 if _AXES[axis] in plan.flip and rng.random() < 0.5 else 1.0 for axis in range(dims)]
    return matrix @ turn @ slant @ np.diag(flips)


def _any_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """A turn (3, 3) about any axis, each as likely as any other (Shoemake 1992)."""
    w, x, y, z = (found := rng.normal(size=4)) / np.linalg.norm(found)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def theta(
    matrix: NDArray[np.float64], centre: Sequence[float], shape: Sequence[int], patch: Sequence[int]
) -> NDArray[np.float32]:
    """The matrix of `placed`: normalised patch coordinates to normalised image coordinates.

    `centre` is in pixels, `shape` and `patch` in array order (Y, X) or (Z, Y, X).
    """
    size, out = np.array(shape[::-1], float), np.array(patch[::-1], float)
    scale = matrix * out[None, :] / size[:, None]
    shift = 2 * (np.array(centre[::-1], float) + 0.5) / size - 1
    return np.concatenate([scale, shift[:, None]], axis=1).astype(np.float32)


def warp(
    stacks: Sequence[Tensor], thetas: Tensor, patch: Sequence[int], elastic: float, generator: torch.Generator
) -> Tensor:
    """Cut a patch out of each stack (C, *S): -> (B, C, *patch), reflected beyond the border."""
    grid = placed(thetas, patch)
    if elastic > 0:
        grid = grid + _displacement(grid, thetas, patch, elastic, generator)
    if len({stack.shape for stack in stacks}) == 1 and stacks[0][0].numel() <= 4 * math.prod(patch):
        return _sample(torch.stack(list(stacks)), grid)
    return torch.cat([_sample(stack[None], one[None]) for stack, one in zip(stacks, grid, strict=True)])


def placed(thetas: Tensor, patch: Sequence[int]) -> Tensor:
    """Where the pixels of a patch lie, (B, *patch, dims), by matrices (B, dims, dims + 1).

    What `affine_grid` gives, as a sum along each axis: its product with a vector a pixel takes three
    times as long.
    """
    dims = len(patch)
    # One plane of memory a coordinate: sums and sampling run along rows then.
    planes = thetas[:, :, dims].reshape(-1, dims, *[1] * dims)
    for axis, size in enumerate(patch):
        along = (torch.arange(size) + 0.5) * (2 / size) - 1
        column = thetas[:, :, dims - 1 - axis].reshape(-1, dims, *[1] * dims)
        planes = planes + column * along.reshape(-1, *[1] * (dims - 1 - axis))
    return planes.movedim(1, -1)


def _sample(stacks: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(stacks, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _displacement(
    grid: Tensor, thetas: Tensor, patch: Sequence[int], elastic: float, generator: torch.Generator
) -> Tensor:
    """A smooth random field, at most about `elastic` pixels, in the units of `grid`."""
    dims = len(patch)
    coarse = [max(2, round(size / 64)) + 1 for size in patch]
    field = torch.rand(len(grid), dims, *coarse, generator=generator) * 2 - 1
    field = F.interpolate(field, tuple(patch), mode=_CUBIC[dims], align_corners=True).movedim(1, -1)
    a_pixel = thetas[:, :, :dims].norm(dim=1) * 2 / torch.tensor(list(patch)[::-1], dtype=torch.float32)
    moved: Tensor = field * elastic * a_pixel.reshape(len(grid), *[1] * dims, dims)
    return moved


def recolour(x: Tensor, plan: AugmentationPlan, generator: torch.Generator) -> Tensor:
    """Vary contrast, brightness, gamma, blur and noise of a normalised batch (B, C, *S)."""
    lead = (len(x), x.shape[1] if plan.colour else 1, *[1] * (x.ndim - 2))
    one = (len(x), *[1] * (x.ndim - 1))

    def uniform(shape: tuple[int, ...], reach: float) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1) * reach

    if plan.gamma > 0:
        low, high = (
            x.amin(dim=tuple(range(1, x.ndim)), keepdim=True),
            x.amax(dim=tuple(range(1, x.ndim)), keepdim=True),
        )
        span = (high - low).clamp(min=1e-3)
        x = ((x - low) / span).pow(torch.exp(uniform(one, plan.gamma))) * span + low
    if plan.blur > 0:
        pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
        soft = pool(x, 3, stride=1, padding=1, count_include_pad=False)
        x = torch.lerp(x, soft, torch.rand(one, generator=generator) * plan.blur)
    if plan.contrast > 0 or plan.brightness > 0:
        x = x * torch.exp(uniform(lead, plan.contrast)) + uniform(lead, plan.brightness)
    if plan.noise > 0:
        strength = torch.rand(one, generator=generator) * plan.noise
        x = x + torch.randn(x.shape, generator=generator) * strength
    return x
