"""Round dense spots in lungs, found without learning: candidates where few nodules are there to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.ct.candidates import Candidate
from hilum.ct.coordinates import spacing_mm, voxel_to_world
from hilum.image.image import Image

# Standard deviations in mm: a ball answers most strongly where this is its radius divided by the root of 3.
SCALES_MM = (1.2, 1.7, 2.4, 3.4, 4.8)
WINDOW_HU = (-1000.0, 100.0)
WEAKEST = 0.02
HALFWAY = 0.15
_SLOPE, _BEND = (-0.5, 0.0, 0.5), (1.0, -2.0, 1.0)
_PAIRS = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


def find_blobs(image: Image, inside: Mask, most: int = 50) -> list[Candidate]:
    """The `most` roundest dense spots of a chest CT (1, Z, Y, X) in HU, strongest first.

    `inside` (Z, Y, X) is where a centre may lie. `probability` is the strength b as b / (b + 0.15), from 0 to
    1; `diameter_mm` is that of the ball whose scale answers most. Strength is the curvature that is weakest
    in all directions times how alike all three are, so that vessels (one flat direction) answer little.
    After Lindeberg 1998 (scale selection) and Sato et al. 1998 (curvatures of tubes and balls).
    """
    strength, scale = _strongest(image, inside)
    wide = [2 * max(1, round(3.0 / step)) + 1 for step in spacing_mm(image)]
    tops = (ndimage.maximum_filter(strength, size=wide) == strength) & (strength > WEAKEST)
    places = np.argwhere(tops)
    order = np.argsort(-strength[tops], kind="stable")[:most]
    return [_candidate(image, place, strength, scale) for place in places[order]]


def _candidate(image: Image, place: NDArray[np.intp], strength: Volume, scale: Volume) -> Candidate:
    at = tuple(int(index) for index in place)
    x, y, z = (float(value) for value in voxel_to_world(image, place))
    diameter = 2 * float(np.sqrt(3)) * float(scale[at])
    probability = float(strength[at] / (strength[at] + HALFWAY))
    volume = np.pi / 6 * diameter**3
    return Candidate((x, y, z), diameter, probability, probability, probability, volume)


def _strongest(image: Image, inside: Mask) -> tuple[Volume, Volume]:
    """Strength (Z, Y, X) over all scales and the scale in mm that gives it; 0 outside."""
    low, high = WINDOW_HU
    volume = (np.clip(image.array[0], low, high).astype(np.float32) - low) / 1000
    strength, scale = (np.zeros(inside.shape, np.float32) for _ in range(2))
    for sigma in SCALES_MM:
        found = _strength_at(volume, inside, sigma, spacing_mm(image).tolist())
        better = found > strength
        strength[better], scale[better] = found[better], sigma
    return strength, scale


def _strength_at(volume: Volume, inside: Mask, sigma: float, spacing: Sequence[float]) -> Volume:
    smooth = ndimage.gaussian_filter(volume, [sigma / step for step in spacing])
    curvature = {pair: _curvature(smooth, pair, sigma, spacing) for pair in _PAIRS}
    bright = inside & (curvature[0, 0] + curvature[1, 1] + curvature[2, 2] < -3 * WEAKEST)
    matrix = np.empty((int(bright.sum()), 3, 3), np.float32)
    for (row, column), values in curvature.items():
        matrix[:, row, column] = matrix[:, column, row] = values[bright]
    ordered = np.linalg.eigvalsh(matrix)
    weakest, steepest = ordered[:, 2], np.minimum(ordered[:, 0], -1e-6)
    answer = np.zeros(volume.shape, np.float32)
    answer[bright] = np.where(weakest < 0, -weakest * (weakest / steepest), 0)
    return answer


def _curvature(smooth: Volume, pair: tuple[int, int], sigma: float, spacing: Sequence[float]) -> Volume:
    """One second derivative, in units of the scale, so that scales can be compared.

    By differences of the smoothed volume: the sampled derivative of a bell narrower than a voxel, as it is
    along thick slices, does not add up to 0, and whatever is bright would be curved along them.
    """
    if pair[0] == pair[1]:
        found: Volume = ndimage.correlate1d(smooth, _BEND, pair[0])
    else:
        found = ndimage.correlate1d(ndimage.correlate1d(smooth, _SLOPE, pair[0]), _SLOPE, pair[1])
    return found * np.float32(sigma**2 / (spacing[pair[0]] * spacing[pair[1]]))
