"""From an Image as stored to the tensor a network sees: channels, resolution, intensities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hilum.errors import ImageError
from hilum.image.colours import LUMINANCE
from hilum.image.illumination import coarse_light, evenly_lit
from hilum.image.image import Image
from hilum.image.resampling import resized_window
from hilum.image.spacing import Spacing
from hilum.planning.plan import DataPlan
from hilum.planning.rules import FLAT
from hilum.study.depth import APART

SAME_SPACING = 1 / 7
# Normalised by mean and spread of their own, of the image or of each of its channels.
OWN_SCALE = ("image", "channel")
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def prepare_image(image: Image, data: DataPlan) -> Tensor:
    """An Image as network input (C, *S'), float32, at working resolution and normalised.

    Raises ImageError for NaN or infinite pixels, for channels that cannot be matched, for another bit depth
    than the study's, and for a flat image where the plan is for volumes.
    """
    check_axes(image.shape, data, str(image.path))
    x = torch.from_numpy(np.ascontiguousarray(image.array, dtype=np.float32))
    if image.array.dtype.kind == "f" and not bool(torch.isfinite(x).all()):
        raise ImageError(f"{image.path}: holds NaN or infinite pixels; replace them, for example by 0")
    check_depth(str(image.array.dtype), image.array, data, str(image.path))
    shape = working_shape(image.shape, data, image.spacing)
    x = resize(x, shape)
    if data.flatten_light and len(shape) == 2:
        x = evenly_lit(x, coarse_light(image.array))
    x = normalise(match_channels(x, data.channels, str(image.path)), data)
    if not bool(torch.isfinite(x).all()):
        raise ImageError(f"{image.path}: holds values too large to be normalised; scale them down")
    return x


def check_axes(shape: Sequence[int], data: DataPlan, name: str) -> None:
    """Raise ImageError for a flat image where the plan is for volumes."""
    if len(shape) == 2 and (data.neighbours or data.dims == 3):
        raise ImageError(
            f"{name}: is one flat image of {shape[0]} x {shape[1]}; this plan is for volumes of "
            "several slices"
        )


def check_depth(dtype: str, array: NDArray[Any], data: DataPlan, name: str) -> None:
    """Raise ImageError for pixels of another type and scale where the study's mean and spread are shared.

    `dtype` is the type that they are stored in, `array` holds their values.
    """
    shared = data.normalise == "study" and not data.flatten_light and data.mean and data.std
    if not shared or data.dtype in (None, dtype):
        return
    usual = max(mean + 2 * std for mean, std in zip(data.mean, data.std, strict=False))
    high = float(array.max())
    if not usual / APART <= high <= usual * APART:
        raise ImageError(
            f"{name}: its pixels are {dtype} up to {high:g}, those that were trained on {data.dtype} "
            f"up to about {usual:.3g}, and both would be taken on one scale; convert it to {data.dtype}"
        )


def match_channels(x: Tensor, channels: int, name: str) -> Tensor:
    """Grey repeated to colour, colour to luminance, or an ImageError: (C, *S) -> (channels, *S)."""
    if x.shape[0] == channels:
        return x
    if x.shape[0] == 1:
        return x.expand(channels, *x.shape[1:])
    if channels == 1 and x.shape[0] == 3:
        weight = torch.tensor(LUMINANCE).reshape(3, *[1] * (x.ndim - 1))
        return (x * weight).sum(0, keepdim=True)
    raise ImageError(
        f"{name}: has {x.shape[0]} channels, the plan wants {channels}; train on images of one kind"
    )


def working_shape(shape: tuple[int, ...], data: DataPlan, spacing: Spacing | None = None) -> tuple[int, ...]:
    """Spatial shape at the plan's resolution; at least one pixel along each axis.

    Where the plan wants a spacing, axes that have it but for a seventh stay as they are: resampling would
    only blur them. Raises ImageError where the image's own `spacing` is not known then.
    """
    if data.size is not None:
        return (*shape[: len(shape) - 2], *data.size)
    if data.spacing is not None:
        coarser = [*data.spacing[:-2], *(size * data.downsample for size in data.spacing[-2:])]
        return _respaced(shape, coarser, spacing)
    in_plane = tuple(max(1, round(size / data.downsample)) for size in shape[-2:])
    return (*shape[: len(shape) - 2], *in_plane)


def _respaced(shape: tuple[int, ...], wanted: Sequence[float], spacing: Spacing | None) -> tuple[int, ...]:
    if spacing is None or not spacing.known or len(wanted) != len(shape):
        raise ImageError(
            f"the plan wants a spacing of {' x '.join(f'{size:g}' for size in wanted)}, which an image of "
            f"{len(shape)} axes and spacing {spacing} cannot be brought to; set data.spacing=null"
        )
    ratios = [own / size for own, size in zip(spacing.sizes, wanted, strict=True)]
    kept = [1.0 if abs(ratio - 1) < SAME_SPACING else ratio for ratio in ratios]
    return tuple(max(1, round(size * ratio)) for size, ratio in zip(shape, kept, strict=True))


def resize(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Shrink by area means, enlarge linearly: (C, *S) -> (C, *shape), float32."""
    if tuple(x.shape[1:]) == tuple(shape):
        return x.float()
    if x.ndim == 3:
        whole = (0, shape[0], 0, shape[1])
        return resized_window(x, (0, 0), tuple(x.shape[1:]), shape, whole)
    if all(new <= old for new, old in zip(shape, x.shape[1:], strict=True)):
        return F.interpolate(x[None].float(), shape, mode="area")[0]
    return F.interpolate(x[None].float(), shape, mode=_LINEAR[len(shape)], align_corners=False)[0]


def normalise(x: Tensor, data: DataPlan) -> Tensor:
    """Intensities to about zero mean and unit spread: by study, image, its channels, or a fixed window."""
    column = (-1, *[1] * (x.ndim - 1))
    if data.normalise == "image":
        return standardised(x, x.mean(), x.std(correction=0))
    if data.normalise == "channel":
        over = tuple(range(1, x.ndim))
        return standardised(x, x.mean(over, keepdim=True), x.std(over, correction=0, keepdim=True))
    if data.normalise == "window" and data.window:
        low, high = data.window
        x = (x.clamp(low, high) - low) / (high - low)
    mean = torch.tensor(data.mean or [0.0]).reshape(column)
    std = torch.tensor(data.std or [1.0]).reshape(column)
    return (x - mean) / std


def standardised(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(x - mean) / std, whatever the unit; what is flat but for rounding is centred alone."""
    return (x - mean) / torch.where(std > FLAT * mean.abs(), std, 1.0)


def prepare_mask(mask: NDArray[np.bool_], data: DataPlan, spacing: Spacing | None = None) -> Tensor:
    """Masks (T, *S) as shares of each working pixel, 0 to 1: (T, *S')."""
    return resize(torch.from_numpy(mask).float(), working_shape(mask.shape[1:], data, spacing))
