"""Trained networks applied to images of any size: tiles, mirrored copies, all folds together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import RunError
from hilum.image.image import Image
from hilum.image.tiles import blend_window, even_slices, tile_slices
from hilum.inference.views import moved_copies
from hilum.models.forward import logits_of
from hilum.planning.plan import InferencePlan, Plan
from hilum.training.losses import activate
from hilum.training.optimisation import channels_last
from hilum.training.prepare import prepare_image, resize
from hilum.training.slices import slabs

_AXES = {"x": -1, "y": -2, "z": -3}
_LEVELS = 255
SLICE_PIXELS = 1 << 18


@dataclass(frozen=True, eq=False)
class Predictor:
    """Networks of one run that answer together, by the plan they were trained with."""

    networks: tuple[nn.Module, ...]
    plan: Plan

    def image(self, image: Image) -> NDArray[np.float32]:
        """Probabilities (K, *S') at working resolution, or (K,) for a whole image, 0 to 1."""
        return self.prepared(prepare_image(image, self.plan.data))

    def prepared(self, x: Tensor) -> NDArray[np.float32]:
        """The same from a prepared image (C, *S')."""
        with torch.inference_mode():
            return _checked(predict_tensor(self.networks, x, self.plan))

    def together(self, x: Tensor) -> NDArray[np.float32]:
        """The same (B, K, *S') or (B, K) of several pictures of one shape (B, C, Y', X')."""
        with torch.inference_mode():
            return _checked(predict_batch(self.networks, x, self.plan))


def _checked(found: Tensor) -> NDArray[np.float32]:
    """Probabilities as an array. Raises RunError where some are no numbers."""
    values = np.asarray(found.numpy(), np.float32)
    if not np.isfinite(values).all():
        raise RunError(
            "the networks of this run answer with NaN: their weights overflow on such an image; say "
            "--set training.precision=32-true when training, and look for odd pixel values in the image"
        )
    return values


def make_predictor(networks: Sequence[nn.Module], plan: Plan) -> Predictor:
    """Put networks into evaluation form on the plan's device."""
    device = torch.device(plan.training.device if torch.cuda.is_available() else "cpu")
    ready = [channels_last(network.to(device)).eval() for network in networks]
    return Predictor(tuple(ready), plan)


Networks = nn.Module | Sequence[nn.Module]


def predict_tensor(network: Networks, x: Tensor, plan: Plan) -> Tensor:
    """Probabilities (K, *S) or (K,) of a prepared image (C, *S), averaged over networks and mirrored copies.

    Networks are averaged tile by tile, so that a tile alone gives the same numbers as within its image.
    A volume (C, Z, Y, X) goes slice by slice, each with its neighbours, where the plan works in the plane;
    labels of its slices are averaged.
    """
    if x.ndim == 4 and plan.data.dims == 2:
        return _by_slice(network, x, plan)
    return predict_batch(network, x[None], plan)[0]


def _by_slice(network: Networks, x: Tensor, plan: Plan) -> Tensor:
    at_once = max(1, SLICE_PIXELS // x[0, 0].numel())
    groups = [range(at, min(at + at_once, x.shape[1])) for at in range(0, x.shape[1], at_once)]
    parts = [predict_batch(network, slabs(x, group, plan.data.neighbours), plan) for group in groups]
    together = torch.cat(parts)
    return together.mean(0) if together.ndim == 2 else together.movedim(0, 1)


def predict_batch(network: Networks, x: Tensor, plan: Plan) -> Tensor:
    """Probabilities (B, K, *S) or (B, K) of prepared images (B, C, *S) of one shape."""
    if plan.inference.moves:
        return _mirrored(network, moved_copies(x), plan).reshape(-1, len(x), len(plan.data.outputs)).mean(0)
    tile = plan.inference.tile
    fits = tile is None or all(side <= limit for side, limit in zip(x.shape[2:], tile, strict=True))
    if fits and plan.inference.tiles is None:
        return _mirrored(network, x, plan)
    return _tiled(network, x, plan)


def _tiled(network: Networks, x: Tensor, plan: Plan) -> Tensor:
    """Overlapping tiles, weighted smoothly towards their borders so that no seam shows."""
    total = torch.zeros(len(x), len(plan.data.outputs), *x.shape[2:])
    weight = torch.zeros(x.shape[2:])
    for where in placed_tiles(tuple(x.shape[2:]), plan.inference):
        part = x[(slice(None), slice(None), *where)]
        window = torch.from_numpy(blend_window(tuple(part.shape[2:])))
        total[(slice(None), slice(None), *where)] += _mirrored(network, part, plan) * window
        weight[where] += window
    return total / weight


def placed_tiles(shape: tuple[int, ...], plan: InferencePlan) -> list[tuple[slice, ...]]:
    """Where the tiles of an image (Y, X) or (Z, Y, X) lie: so many rows and columns, or by overlap."""
    tile = tuple(plan.tile or shape)
    if plan.tiles is not None:
        return even_slices(shape, tile, (*[1] * (len(shape) - 2), *plan.tiles))
    return list(tile_slices(shape, tile, tuple(round(side * plan.overlap) for side in tile)))


def _mirrored(network: Networks, x: Tensor, plan: Plan) -> Tensor:
    networks = [network] if isinstance(network, nn.Module) else list(network)
    return torch.stack([_one_mirrored(one, x, plan) for one in networks]).mean(0)


def _one_mirrored(network: nn.Module, x: Tensor, plan: Plan) -> Tensor:
    copies = flip_sets(plan, x.ndim - 2)
    at_once = max(1, SLICE_PIXELS // x[:, 0].numel())
    groups = [copies[at : at + at_once] for at in range(0, len(copies), at_once)]
    return torch.stack([_copies(network, x, group, plan) for group in groups]).sum(0) / len(copies)


def flip_sets(plan: Plan, dims: int) -> list[tuple[int, ...]]:
    """Axes to mirror for each copy that the plan averages of an image of so many axes; the first as it is.

    >>> flip_sets(Plan.model_validate({"inference": {"flips": ["x", "z"]}}), 2)
    [(), (-1,)]
    """
    axes = [_AXES[name] for name in plan.inference.flips if -_AXES[name] <= dims]
    return [flips for count in range(len(axes) + 1) for flips in itertools.combinations(axes, count)]


def _copies(network: nn.Module, x: Tensor, copies: Sequence[tuple[int, ...]], plan: Plan) -> Tensor:
    """Sum of the probabilities of mirrored copies, in one pass: small images take half the time so."""
    found = _whole(network, torch.cat([x.flip(flips) for flips in copies]), plan).chunk(len(copies))
    back = [one.flip(flips) if one.ndim > 2 else one for one, flips in zip(found, copies, strict=True)]
    return torch.stack(back).sum(0)


def _whole(network: nn.Module, x: Tensor, plan: Plan) -> Tensor:
    """One pass over images (B, C, *S)."""
    return activate(logits_of(network, x, plan.training.precision), plan.model.activation).cpu()


def quantised(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities as 0 to 255, as they are kept on disk and decided on."""
    return np.asarray(np.rint(np.clip(probability, 0, 1) * _LEVELS), np.uint8)


def enlarged(probability: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Kept probabilities (K, *S') at full resolution (K, *shape), 0 to 255."""
    full = resize(torch.from_numpy(probability).float(), tuple(shape))
    return np.asarray(full.round().to(torch.uint8).numpy())
