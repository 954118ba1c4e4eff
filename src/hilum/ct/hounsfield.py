"""Hounsfield units: padding made air, range clipped, windows for viewing and for networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.image.image import Image

AIR_HU = -1000
LOWEST_HU = -1024
HIGHEST_HU = 3071
# A scanner's noise reaches a little below air; nothing real lies below this, only what scanners write
# outside the scan circle: -2000, with the intercept applied to it -3024, or -2048.
_NO_TISSUE_HU = -1200

# Lower and upper HU as radiologists set them: centre and width -600 and 1500, 40 and 400, 400 and 1800.
WINDOWS: Mapping[str, tuple[float, float]] = {
    "lung": (-1350.0, 150.0),
    "soft tissue": (-160.0, 240.0),
    "bone": (-500.0, 1300.0),
}


def clean_array(array: NDArray[Any], low: float = LOWEST_HU, high: float = HIGHEST_HU) -> NDArray[Any]:
    """Clean an array of any shape: values below -1200 HU (padding too) become air, the rest is clipped.

    The type stays; limits that it cannot hold, as unsigned ones cannot hold air, clip nothing.

    >>> clean_array(np.array([-2048, -1030, 40, 30000], np.int16)).tolist()
    [-1000, -1024, 40, 3071]
    """
    if array.dtype.kind in "iu":
        room = np.iinfo(array.dtype)
        low, high = (min(max(int(limit), room.min), room.max) for limit in (low, high))
    air = max(AIR_HU, low)
    cleaned: NDArray[Any] = np.clip(array, array.dtype.type(low), array.dtype.type(high))
    cleaned[array < _NO_TISSUE_HU] = air
    return cleaned


def windowed(array: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Values of any shape scaled so that the window's lower limit is 0 and its upper 1, clipped.

    >>> windowed(np.array([-2000, -600, 900], np.int16), WINDOWS["lung"]).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = limits
    scaled = (array.astype(np.float32) - low) / (high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def doubts(image: Image) -> tuple[str, ...]:
    """What speaks against the values being Hounsfield units of a chest, in words; empty where nothing does.

    >>> doubts(Image(np.full((1, 2, 2), 40, np.uint8)))
    ('values reach from 40 to 40: no Hounsfield units (air would be -1000); are slope and intercept lost?',)
    """
    array = image.array
    low, high = float(array.min()), float(array.max())
    if low >= 0:
        return (
            f"values reach from {low:g} to {high:g}: no Hounsfield units (air would be -1000); "
            "are slope and intercept lost?",
        )
    thin = array[(array < -500) & (array > _NO_TISSUE_HU)]
    if not thin.size:
        return (f"values reach from {low:g} to {high:g} and nothing reads like air (-1000) or lung (-850)",)
    return ()
