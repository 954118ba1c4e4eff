"""What the images and masks of a study are like, in numbers that the planner decides by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hilum.errors import StudyError
from hilum.image.illumination import coarse_light, evenly_lit, fall_off
from hilum.image.spacing import Spacing
from hilum.study.depth import highest_by_type
from hilum.study.magnification import micrometres
from hilum.study.masks import read_case_image, read_masks
from hilum.study.study import Case, Study

FACTORS = (1, 2, 4, 8)
LOOKED_AT = 64
_THUMB = 32


@dataclass(frozen=True)
class Fingerprint:
    """Numbers of a study, from the `looked_at` cases that were decoded.

    `ceilings` maps a factor to the Dice a perfect network reaches at that resolution, by target;
    `shares` the mean share of the image that a target covers where it is present. `pose` is the mean
    correlation of the image thumbnails with their mean (1: all framed alike), for coloured images that
    of the masks where it is lower: the uneven light of a microscope makes photographs alike.
    `mirror_x` and `mirror_y` say how much the mean image looks mirrored.
    `uneven_light` is how far the background light of bright-field colour images falls off, `flat_mean`
    and `flat_std` what remains once it is divided out. `tops` is the highest value of each type of pixels,
    `pixel_um` the smallest and largest pixel of flat images in µm, None where one does not say.
    """

    cases: int
    groups: int
    looked_at: int
    channels: int
    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    spacing: Spacing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: float
    high: float
    shares: Mapping[str, float] = field(default_factory=dict)
    present: Mapping[str, int] = field(default_factory=dict)
    annotated: Mapping[str, int] = field(default_factory=dict)
    ceilings: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    coloured: bool = False
    uneven_light: float = 0.0
    flat_mean: tuple[float, ...] = ()
    flat_std: tuple[float, ...] = ()
    pose: float = 0.0
    mirror_x: float = 0.0
    mirror_y: float = 0.0
    tops: Mapping[str, float] = field(default_factory=dict)
    pixel_um: tuple[float, float] | None = None

    @property
    def median_shape(self) -> tuple[int, ...]:
        """Median spatial shape."""
        return tuple(int(np.median(sizes)) for sizes in zip(*self.shapes, strict=True))

    @property
    def largest_shape(self) -> tuple[int, ...]:
        """Largest size along each axis."""
        return tuple(max(sizes) for sizes in zip(*self.shapes, strict=True))


@dataclass(frozen=True, eq=False)
class _Look:
    """What one case contributes."""

    channels: int
    coloured: bool
    dtype: str
    shape: tuple[int, ...]
    spacing: Spacing
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    low: float
    high: float
    uneven: float
    flat: NDArray[np.float64]
    thumbnail: NDArray[np.float32]
    mask_thumbnails: NDArray[np.float32]
    shares: NDArray[np.float64]
    dice: NDArray[np.float64]


def take_fingerprint(study: Study) -> Fingerprint:
    """Decode up to 64 cases, evenly spread over the study, and measure them.

    Raises StudyError where some are flat images and some volumes.
    """
    cases = spread(study.cases, LOOKED_AT)
    looks = [_look(case, study) for case in cases]
    _check_axes(cases, looks)
    channels = max(look.channels for look in looks)
    sizes = np.array([float(np.prod(look.shape)) for look in looks])
    mean = np.average([np.resize(look.mean, channels) for look in looks], axis=0, weights=sizes)
    square = np.average([np.resize(look.square, channels) for look in looks], axis=0, weights=sizes)
    pose, mirror_x, mirror_y = _pose([look.thumbnail for look in looks])
    coloured = any(look.coloured for look in looks)
    for target in range(len(study.targets) if coloured else 0):
        present = [look.mask_thumbnails[target] for look in looks if look.mask_thumbnails[target].any()]
        pose = min(pose, _pose(present)[0]) if len(present) >= 4 else pose
    shares = np.stack([look.shares for look in looks])
    return Fingerprint(
        cases=len(study.cases),
        groups=len(study.groups),
        looked_at=len(looks),
        channels=channels,
        dtype=looks[0].dtype,
        shapes=tuple(look.shape for look in looks),
        spacing=looks[0].spacing,
        mean=tuple(mean.tolist()),
        std=tuple(np.sqrt(np.maximum(square - mean**2, 1e-12)).tolist()),
        low=min(look.low for look in looks),
        high=max(look.high for look in looks),
        shares={name: _mean_present(shares[:, t]) for t, name in enumerate(study.targets)},
        present={name: int((shares[:, t] > 0).sum()) for t, name in enumerate(study.targets)},
        annotated={name: int(np.isfinite(shares[:, t]).sum()) for t, name in enumerate(study.targets)},
        ceilings=_mean_ceilings(study.targets, np.stack([look.dice for look in looks])),
        coloured=coloured,
        uneven_light=float(np.median([look.uneven for look in looks])),
        flat_mean=_flat_statistics(looks)[0],
        flat_std=_flat_statistics(looks)[1],
        pose=pose,
        mirror_x=mirror_x,
        mirror_y=mirror_y,
        tops=highest_by_type((look.dtype, look.high) for look in looks),
        pixel_um=_pixel_um(looks),
    )


def _pixel_um(looks: Sequence[_Look]) -> tuple[float, float] | None:
    sizes = [micrometres(look.spacing) for look in looks if len(look.shape) == 2]
    known = [size for size in sizes if size]
    return (min(known), max(known)) if known and len(known) == len(sizes) else None


def spread(items: Sequence[Case], most: int) -> list[Case]:
    """At most `most` items, evenly spread."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _look(case: Case, study: Study) -> _Look:
    image = read_case_image(case)
    seen = image.array if image.array.ndim == 3 else image.array[:, ::2, ::2, ::2]
    pixels = seen.reshape(image.channels, -1).astype(np.float64)
    shares, dice = np.zeros(0), np.zeros((len(FACTORS), 0))
    mask_thumbnails = np.zeros((0, _THUMB, _THUMB), np.float32)
    if study.targets and not case.masks:
        shares = np.full(len(study.targets), np.nan)
        dice = np.full((len(FACTORS), len(study.targets)), np.nan)
    elif study.targets:
        masks, known = read_masks(case, study.targets, image.shape)
        shares = np.where(known, masks.reshape(len(masks), -1).mean(1), np.nan)
        dice = np.stack([ceiling(masks, factor) for factor in FACTORS])
        mask_thumbnails = np.stack([_thumbnail(mask.astype(np.float32)) for mask in masks])
    uneven, flat = _light(image.array)
    return _Look(
        channels=image.channels,
        coloured=_is_coloured(image.array),
        dtype=str(image.array.dtype),
        shape=image.shape,
        spacing=image.spacing,
        mean=pixels.mean(1),
        square=(pixels**2).mean(1),
        low=float(pixels.min()),
        high=float(pixels.max()),
        uneven=uneven,
        flat=flat,
        thumbnail=_thumbnail(image.array.astype(np.float32).mean(0)),
        mask_thumbnails=mask_thumbnails,
        shares=shares,
        dice=dice,
    )


def _check_axes(cases: Sequence[Case], looks: Sequence[_Look]) -> None:
    """Raise StudyError where flat images and volumes are mixed, naming one of each."""
    image_of = {len(look.shape): case.image for case, look in zip(cases, looks, strict=True)}
    if len(image_of) > 1:
        raise StudyError(
            f"{image_of[2]} is a flat image and {image_of[3]} a volume; train on images of one kind, "
            "each kind in a folder of its own"
        )


def _light(array: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
    """Unevenness of the light, and mean and mean square (2, C) without it; zeros where not bright-field."""
    bright = _is_coloured(array) and float(array.mean()) > 0.5 * float(array.max())
    if not bright:
        return 0.0, np.zeros((2, len(array)))
    coarse, some = coarse_light(array), torch.from_numpy(array[:, ::4, ::4].astype(np.float32))
    flat = evenly_lit(some, coarse).flatten(1).double().numpy()
    return fall_off(coarse), np.stack([flat.mean(1), (flat**2).mean(1)])


def _flat_statistics(looks: Sequence[_Look]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation by channel of the images with even light."""
    flats = [look.flat for look in looks if look.uneven > 0]
    if not flats:
        return (), ()
    mean, square = np.mean(flats, axis=0)
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(square - mean**2, 1e-12)).tolist())


def _is_coloured(array: NDArray[Any]) -> bool:
    """Whether three channels differ by more than compression noise and tints."""
    if len(array) != 3:
        return False
    sample = array[:, ::4, ::4].astype(np.float32)
    span = float(sample.max() - sample.min()) or 1.0
    return float(np.abs(sample - sample.mean(0)).mean()) > 0.02 * span


def ceiling(masks: NDArray[np.bool_], factor: int) -> NDArray[np.float64]:
    """Dice of masks (T, *S) with themselves shrunk in plane by `factor` and enlarged; NaN where empty."""
    full = torch.from_numpy(masks).float()
    height, width = full.shape[-2:]
    planes = full.reshape(-1, 1, height, width)
    small = F.interpolate(
        planes, (max(1, round(height / factor)), max(1, round(width / factor))), mode="area"
    )
    back = F.interpolate(small, (height, width), mode="bilinear").reshape(full.shape) > 0.5
    inside = full > 0.5
    over = tuple(range(1, full.ndim))
    total = (inside.sum(over) + back.sum(over)).numpy()
    both = (inside & back).sum(over).numpy()
    return np.where(inside.any(dim=-1).flatten(1).any(1).numpy(), 2 * both / np.maximum(total, 1), np.nan)


def _thumbnail(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """A plane (Y, X), or the middle one of (Z, Y, X), as 32 x 32 of zero mean and unit spread; 0 if flat."""
    plane = grey[len(grey) // 2] if grey.ndim == 3 else grey
    small = F.interpolate(torch.from_numpy(plane)[None, None], (_THUMB, _THUMB), mode="area")[0, 0].numpy()
    deviation = float(small.std())
    return np.asarray((small - small.mean()) / (deviation if deviation > 1e-6 else 1.0), np.float32)


def _pose(thumbnails: Sequence[NDArray[np.float32]]) -> tuple[float, float, float]:
    """Mean correlation of each with the mean of the others, and of the mean with its two mirror images."""
    count = len(thumbnails)
    if count < 4:
        return 0.0, 0.0, 0.0
    stack = np.stack(list(thumbnails))
    others = (stack.sum(0) - stack) / (count - 1)
    pose = float(np.mean([_correlation(one, rest) for one, rest in zip(stack, others, strict=True)]))
    mean = stack.mean(0)
    return pose, _correlation(mean, mean[:, ::-1]), _correlation(mean, mean[::-1])


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-9))


def _mean_present(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(present.mean()) if len(present) else 0.0


def _mean_ceilings(targets: Sequence[str], dice: NDArray[np.float64]) -> dict[int, dict[str, float]]:
    return {
        factor: {
            name: float(np.nanmean(dice[:, f, t])) if np.isfinite(dice[:, f, t]).any() else float("nan")
            for t, name in enumerate(targets)
        }
        for f, factor in enumerate(FACTORS)
    }
