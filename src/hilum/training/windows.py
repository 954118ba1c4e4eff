"""A huge image as a network sees it, window by window: the same numbers as if it were prepared whole."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ImageError
from hilum.image.freed import give_back
from hilum.image.illumination import coarse_light, evenly_lit
from hilum.image.limits import shown
from hilum.image.pyramid import Pyramid
from hilum.image.resampling import needed_part, resized_window
from hilum.image.thumbnail import as_numbers, shows_any, thumbnail, tissue_mask
from hilum.planning.plan import DataPlan
from hilum.training.prepare import (
    OWN_SCALE,
    check_axes,
    check_depth,
    match_channels,
    normalise,
    standardised,
    working_shape,
)

logger = logging.getLogger(__name__)
# Up to here light and intensities are those of every pixel; beyond, of a thumbnail and of sampled windows.
EXACT_PIXELS = 16_000_000
SAMPLES = 400
SAMPLE_SIDE = 64
# Pixels are averaged by at least this factor in each direction, whatever level of a pyramid they come from.
LEAST_MEANS = 4
READ_PIXELS = 6_000_000


@dataclass(frozen=True, eq=False)
class WorkingImage:
    """A pyramid at a plan's working resolution: its `shape` (Y', X'), and the `level` that is read.

    `light` (C, 96, 96) is the background light to divide by, `statistics` mean and spread where the plan
    normalises each image, (1, 1, 1), or each of its channels, (C, 1, 1), by its own. `tissue` (Y, X) is a
    map of where there is anything.
    """

    pyramid: Pyramid
    data: DataPlan
    shape: tuple[int, int]
    level: int
    light: NDArray[np.float32] | None
    statistics: tuple[Tensor, Tensor] | None
    tissue: NDArray[np.bool_]

    def window(self, y0: int, y1: int, x0: int, x1: int) -> Tensor:
        """The network's input (C, y1 - y0, x1 - x0), float32 and normalised.

        Raises ImageError for NaN or infinite pixels, and for values too large to be normalised.
        """
        x = self.measured(y0, y1, x0, x1)
        x = normalise(x, self.data) if self.statistics is None else standardised(x, *self.statistics)
        if not bool(torch.isfinite(x).all()):
            path = shown(self.pyramid.path)
            raise ImageError(
                f"{path}: holds NaN, infinite or too large pixels; replace them, for example by 0"
            )
        return x

    def measured(self, y0: int, y1: int, x0: int, x1: int) -> Tensor:
        """The same before it is normalised, in the image's own units; read in bands of bounded size."""
        size = self.pyramid.levels[self.level].shape
        top, bottom, left, right = needed_part(size, self.shape, (y0, y1, x0, x1))
        rows = max(1, int((y1 - y0) * READ_PIXELS / max(1, (bottom - top) * (right - left))))
        bands = [self._band(at, min(at + rows, y1), x0, x1) for at in range(y0, y1, rows)]
        return torch.cat(bands, 1) if len(bands) > 1 else bands[0]

    def _band(self, y0: int, y1: int, x0: int, x1: int) -> Tensor:
        size = self.pyramid.levels[self.level].shape
        top, bottom, left, right = needed_part(size, self.shape, (y0, y1, x0, x1))
        part = self.pyramid.read_window(top, left, bottom - top, right - left, self.level)
        window = (y0, y1, x0, x1)
        x = torch.from_numpy(as_numbers(part)).float()
        x = resized_window(x, (top, left), size, self.shape, window)
        if self.light is not None:
            x = evenly_lit(x, self.light, self.shape, window)
        return match_channels(x, self.data.channels, shown(self.pyramid.path))

    def has_tissue(self, y0: int, y1: int, x0: int, x1: int) -> bool:
        """Whether the tissue map shows anything in a window of the working image."""
        return shows_any(self.tissue, self.shape, (y0, y1, x0, x1))


def working_image(pyramid: Pyramid, data: DataPlan, skip_glass: bool = True) -> WorkingImage:
    """A pyramid made ready for a plan: its shape, level, background light, statistics and tissue.

    Raises ImageError where its axes, channels, bit depth or spacing do not fit the plan.
    """
    check_axes(pyramid.shape, data, shown(pyramid.path))
    if data.dtype not in (None, dtype := str(pyramid.dtype)):
        check_depth(dtype, thumbnail(pyramid), data, shown(pyramid.path))
    height, width = working_shape(pyramid.shape, data, pyramid.spacing)
    factor = min(own / new for own, new in zip(pyramid.shape, (height, width), strict=True))
    level = pyramid.level_for(max(1.0, factor / LEAST_MEANS))
    light = None
    if data.flatten_light:
        light = coarse_light(
            thumbnail(pyramid, EXACT_PIXELS if pyramid.pixels <= EXACT_PIXELS else EXACT_PIXELS // 4)
        )
    give_back()
    tissue = np.ones((1, 1), bool)
    if skip_glass:
        small = thumbnail(pyramid)
        if light is not None:
            small = evenly_lit(torch.from_numpy(small), light).numpy()
        top = 1.0 if light is not None else _highest(pyramid.dtype)
        tissue = tissue_mask(small, top)
    found = WorkingImage(pyramid, data, (height, width), level, light, None, tissue)
    if data.normalise not in OWN_SCALE:
        return found
    return WorkingImage(pyramid, data, found.shape, level, light, _statistics(found), tissue)


def _highest(dtype: np.dtype[Any]) -> float:
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def _statistics(image: WorkingImage) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (1, 1, 1) or by channel (C, 1, 1).

    Of all pixels up to EXACT_PIXELS, else of windows all over the image.
    """
    height, width = image.shape
    if height * width <= EXACT_PIXELS:
        rows = max(1, 1_000_000 // width)
        windows = [(at, min(at + rows, height), 0, width) for at in range(0, height, rows)]
    else:
        side = round(SAMPLES**0.5)
        tops = np.linspace(0, height - SAMPLE_SIDE, side).astype(int).tolist()
        lefts = np.linspace(0, width - SAMPLE_SIDE, side).astype(int).tolist()
        windows = [(top, top + SAMPLE_SIDE, left, left + SAMPLE_SIDE) for top in tops for left in lefts]
        logger.info("mean and spread of intensities from %d windows of the image", len(windows))
    parts = image.data.channels if image.data.normalise == "channel" else 1
    count, total, square = 0, torch.zeros(parts).double(), torch.zeros(parts).double()
    for window in windows:
        x = image.measured(*window).double().reshape(parts, -1)
        count += x.shape[1]
        total += x.sum(1)
        square += (x * x).sum(1)
    mean = total / count
    std = (square / count - mean * mean).clamp(min=0).sqrt()
    return mean.float().reshape(-1, 1, 1), std.float().reshape(-1, 1, 1)
