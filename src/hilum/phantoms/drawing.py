"""Brushes that the phantoms share: noise, soft shapes, cells and specks, and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

from hilum.files import whole_file

Field = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def generator(seed: int, *keys: int) -> np.random.Generator:
    """A random generator of its own for each case, so that adding cases never changes earlier ones.

    >>> bool(generator(0, 3).integers(1000) == generator(0, 3).integers(1000))
    True
    """
    return np.random.default_rng([seed, *keys])


def grid(shape: tuple[int, ...]) -> list[Field]:
    """Open coordinate arrays of a picture or volume in pixels, in array order."""
    return [axis.astype(np.float32) for axis in np.ogrid[tuple(slice(0, size) for size in shape)]]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float | Sequence[float]) -> Field:
    """Noise of about zero mean and unit deviation with bumps `scale` pixels wide (one, or one an axis)."""
    scales = [float(scale)] * len(shape) if isinstance(scale, int | float) else [float(one) for one in scale]
    coarse = [max(4, int(np.ceil(size / width)) + 3) for size, width in zip(shape, scales, strict=True)]
    knots = rng.standard_normal(coarse).astype(np.float32)
    starts = rng.uniform(0, 1, len(shape))
    for axis, (size, width) in enumerate(zip(shape, scales, strict=True)):
        knots = _stretch(knots, axis, starts[axis] + np.arange(size) / width)
    return knots * np.float32(1.6 ** (len(shape) / 2))


def _stretch(values: Field, axis: int, at: NDArray[np.float64]) -> Field:
    """Cubic B-spline interpolation along one axis: quick, because the axes separate."""
    count = values.shape[axis]
    at = np.clip(at, 0, count - 1.001)
    left, part = np.floor(at).astype(int), at - np.floor(at)
    weights = (
        (1 - part) ** 3 / 6,
        (3 * part**3 - 6 * part**2 + 4) / 6,
        (-3 * part**3 + 3 * part**2 + 3 * part + 1) / 6,
        part**3 / 6,
    )
    matrix = np.zeros((len(at), count), np.float32)
    rows = np.arange(len(at))
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        np.add.at(matrix, (rows, np.clip(left + offset, 0, count - 1)), weight)
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis).astype(np.float32)


def cover(distance: Field, softness: float = 1.0) -> Field:
    """Share of each pixel that lies inside: 1 where the signed distance is negative, soft near 0."""
    return np.asarray(np.clip(0.5 - distance / np.float32(softness), 0, 1), np.float32)


def ring(distance: Field, inner: float, outer: float, softness: float = 1.0) -> Field:
    """Cover of the band in which the signed distance lies between `inner` and `outer`."""
    return cover(distance - outer, softness) * (1 - cover(distance - inner, softness))


def blob(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    wobble: float = 0.08,
    exponent: float = 2.0,
) -> Field:
    """Signed distance (about, in pixels) to a wobbling ellipse; `exponent` above 2 makes it boxy."""
    y, x = grid(shape)
    y, x = y - centre[0], x - centre[1]
    across = np.asarray((x * np.cos(angle) + y * np.sin(angle)) / radii[1], np.float32)
    along = np.asarray((y * np.cos(angle) - x * np.sin(angle)) / radii[0], np.float32)
    theta = np.arctan2(along, across)
    radius = np.ones(shape, np.float32)
    for order in range(2, 7):
        swing = wobble * rng.normal() * 1.6 / order
        radius += np.float32(swing) * np.cos(order * theta + np.float32(rng.uniform(0, 2 * np.pi)))
    if exponent == 2:
        rho = np.hypot(across, along)
    else:
        rho = (np.abs(across) ** exponent + np.abs(along) ** exponent) ** (1 / exponent)
    size = np.float32(np.sqrt(radii[0] * radii[1]))
    return np.asarray((rho / np.maximum(radius, 0.3) - 1) * size, np.float32)


def tube(shape: tuple[int, int], points: Sequence[tuple[float, float]], radii: Sequence[float]) -> Field:
    """Signed distance to a chain of capsules through (y, x) `points`, as thick as `radii` say."""
    y, x = grid(shape)
    best = np.full(shape, np.inf, np.float32)
    for (y0, x0), (y1, x1), start, end in zip(points, points[1:], radii, radii[1:], strict=False):
        dy, dx = y1 - y0, x1 - x0
        along = np.clip(((y - y0) * dy + (x - x0) * dx) / max(dy * dy + dx * dx, 1e-6), 0, 1)
        distance = np.hypot(y - y0 - along * dy, x - x0 - along * dx) - (start + along * (end - start))
        best = np.minimum(best, distance)
    return best.astype(np.float32)


def specks(
    rng: np.random.Generator, density: Field, sigma: float, strength: float = 1.0, spread: float = 0.4
) -> Field:
    """Scatter round specks such as nuclei: `density` is their expected number a pixel."""
    count = rng.poisson(np.clip(density, 0, None)).astype(np.float32)
    amplitude = np.clip(rng.normal(strength, spread * strength, density.shape), 0, None)
    drawn = ndimage.gaussian_filter((count * amplitude).astype(np.float32), sigma, truncate=3)
    return np.asarray(drawn * np.float32(2 * np.pi * sigma**2), np.float32)


def cell_walls(
    rng: np.random.Generator, shape: tuple[int, int], spacing: float, merge: float = 0.35
) -> Field:
    """Distance in pixels to the nearest wall of irregular cells `spacing` pixels wide.

    Jittered-grid Voronoi cells, of which the share `merge` is joined to a neighbour.
    """
    warp = 0.22 * spacing
    y, x = grid(shape)
    y = (y + np.float32(warp) * smooth_noise(rng, shape, spacing * 0.8)) / np.float32(spacing) + 2
    x = (x + np.float32(warp) * smooth_noise(rng, shape, spacing * 0.8)) / np.float32(spacing) + 2
    rows, columns = int(shape[0] / spacing) + 6, int(shape[1] / spacing) + 6
    jitter = rng.uniform(0.08, 0.92, (2, rows, columns)).astype(np.float32)
    owner = _merged(rng, rows, columns, merge)
    row, column = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    distances, owners = [], []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            r, c = np.clip(row + dy, 0, rows - 1), np.clip(column + dx, 0, columns - 1)
            distances.append(np.hypot(r + jitter[0, r, c] - y, c + jitter[1, r, c] - x))
            owners.append(owner[r, c])
    stack, names = np.stack(distances), np.stack(owners)
    nearest = stack.argmin(axis=0)[None]
    first = np.take_along_axis(stack, nearest, 0)[0]
    other = np.where(names == np.take_along_axis(names, nearest, 0), np.inf, stack).min(axis=0)
    return np.asarray(np.minimum((other - first) * spacing * 0.5, spacing), np.float32)


def _merged(rng: np.random.Generator, rows: int, columns: int, share: float) -> NDArray[np.int64]:
    owner = np.arange(rows * columns).reshape(rows, columns)
    for _ in range(2):
        axis, step = int(rng.integers(2)), int(rng.choice((-1, 1)))
        owner = np.where(rng.random(owner.shape) < share, np.roll(owner, step, axis), owner)
    return owner


def to_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """A picture with values 0 to 1 as 8 bit."""
    return np.asarray(np.round(np.clip(picture, 0, 1) * 255), np.uint8)


def save_picture(path: Path, picture: NDArray[np.uint8], **options: Any) -> None:
    """Write (Y, X) or (Y, X, 3) bytes; the format follows from the extension."""
    with whole_file(path) as beside:
        PillowImage.fromarray(picture).save(beside, **options)


def save_mask(path: Path, mask: Mask, **options: Any) -> None:
    """Write a mask (Y, X) as 0 and 255."""
    save_picture(path, mask.astype(np.uint8) * np.uint8(255), **options)
