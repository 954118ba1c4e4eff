"""The anatomy of a phantom lung section: lobe, airways with their arteries, veins, inflammation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hilum.phantoms.drawing import Field, Mask, blob, cover, grid, smooth_noise, tube


def draw_outline(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Signed distance to the lobe that the section cuts: it always leaves some glass free."""
    height, width = shape
    centre = (height * rng.uniform(0.42, 0.58), width * rng.uniform(0.36, 0.64))
    radii = (height * rng.uniform(0.36, 0.54), width * rng.uniform(0.48, 0.72))
    lobe = blob(rng, shape, centre, radii, rng.uniform(-0.3, 0.3), wobble=0.06, exponent=2.5)
    return lobe + min(shape) / 480 * 1.5 * smooth_noise(rng, shape, min(shape) / 16)


def _inside(rng: np.random.Generator, tissue: Field, margin: float) -> tuple[float, float]:
    rows, columns = np.nonzero(tissue < min(-margin, float(tissue.min()) * 0.5))
    pick = int(rng.integers(len(rows)))
    return float(rows[pick]), float(columns[pick])


def draw_airways(
    rng: np.random.Generator, shape: tuple[int, int], unit: float, tissue: Field
) -> tuple[Field, Field, list[tuple[float, float]]]:
    """Signed distances to the lumen of airways and of the arteries beside them, and where they are."""
    airways, arteries = np.full(shape, 1e3, np.float32), np.full(shape, 1e3, np.float32)
    centres: list[tuple[float, float]] = []
    for index in range(int(rng.integers(4, 7))):
        centre = _apart(rng, tissue, centres, unit)
        radius = unit * (rng.uniform(20, 30) if index == 0 else rng.uniform(8, 19))
        angle = rng.uniform(0, np.pi)
        radii = (radius * rng.uniform(0.7, 1.0), radius * rng.uniform(1.0, 1.7))
        lumen = blob(rng, shape, centre, radii, angle, wobble=0.13)
        if index == 0 or rng.random() < 0.3:
            lumen = _joined(lumen, _branch(rng, shape, centre, radius, angle), radius * 0.3)
        airways = np.minimum(airways, lumen)
        aside = angle + np.pi / 2 * rng.choice((-1, 1))
        reach = radii[0] + 13 * unit + radius * 0.45
        beside = (centre[0] + reach * np.sin(aside), centre[1] + reach * np.cos(aside))
        artery = blob(rng, shape, beside, (radius * 0.38, radius * 0.55), angle, wobble=0.1)
        arteries = np.minimum(arteries, artery)
        centres.append(centre)
    airways += 0.9 * unit * smooth_noise(rng, shape, 4.5 * unit)
    return airways, np.maximum(arteries, 9 * unit - airways), centres


def _apart(
    rng: np.random.Generator, tissue: Field, others: list[tuple[float, float]], unit: float
) -> tuple[float, float]:
    """A place in the tissue, as far from the others as the best of a few tries."""
    tries = [_inside(rng, tissue, 45 * unit) for _ in range(8)]
    return max(tries, key=lambda at: min((np.hypot(at[0] - y, at[1] - x) for y, x in others), default=0.0))


def _branch(
    rng: np.random.Generator, shape: tuple[int, int], centre: tuple[float, float], radius: float, angle: float
) -> Field:
    """A smaller airway that leaves the larger one in two bends."""
    points, radii = [centre], [radius * 0.55]
    heading = angle + rng.choice((0, np.pi)) + rng.normal(0, 0.3)
    for step in range(3):
        length = radius * rng.uniform(1.0, 1.6)
        y, x = points[-1]
        points.append((y + length * np.sin(heading), x + length * np.cos(heading)))
        radii.append(radius * (0.45 - 0.08 * step))
        heading += rng.normal(0, 0.45)
    return tube(shape, points, radii)


def _joined(one: Field, two: Field, blend: float) -> Field:
    """Smooth union of two signed distances."""
    mix = np.clip(0.5 + 0.5 * (two - one) / blend, 0, 1)
    return np.asarray(two + (one - two) * mix - blend * mix * (1 - mix), np.float32)


def draw_veins(
    rng: np.random.Generator, shape: tuple[int, int], unit: float, tissue: Field, pipes: Field
) -> Field:
    """Signed distance to small veins full of red cells, scattered through the tissue."""
    veins = np.full(shape, 1e3, np.float32)
    for _ in range(int(rng.integers(5, 12))):
        y, x = _inside(rng, tissue, 12 * unit)
        heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.5)
        length, radius = unit * rng.uniform(3, 16), unit * rng.uniform(1.8, 3.6)
        middle = (y + length * np.sin(heading), x + length * np.cos(heading))
        end = (middle[0] + length * np.sin(heading + bend), middle[1] + length * np.cos(heading + bend))
        veins = np.minimum(veins, tube(shape, [(y, x), middle, end], [radius, radius, radius * 0.6]))
    veins = veins + 0.8 * unit * smooth_noise(rng, shape, 5 * unit)
    return np.asarray(np.maximum(veins, 9 * unit - pipes), np.float32)


def inflammation_sources(
    rng: np.random.Generator, shape: tuple[int, int], severity: float, centres: list[tuple[float, float]]
) -> list[tuple[float, float, float]]:
    """Where inflammation starts, with its reach in units: around airways, in bad cases a whole corner."""
    near = [(y, x, rng.uniform(34, 62) * (0.6 + severity)) for y, x in centres[: 1 + round(severity * 3)]]
    if rng.random() < severity - 0.3:
        side, place = rng.choice((0.0, 1.0)), rng.uniform(0.15, 0.85)
        near.append((shape[0] * place, shape[1] * side, rng.uniform(130, 190)))
    return near if severity > 0 else []


def inflammation_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    unit: float,
    sources: list[tuple[float, float, float]],
) -> Field:
    """Degree of consolidation, 0 to 1; above 0.5 it is severe, below merely thickened walls."""
    ragged = 0.5 * smooth_noise(rng, shape, 40 * unit) + 0.3 * smooth_noise(rng, shape, 14 * unit)
    ragged = ragged + 0.1 * smooth_noise(rng, shape, 6 * unit)
    field = 0.2 * cover(0.5 - ragged, 1.2)
    y, x = grid(shape)
    for row, column, reach in sources:
        squeeze, turn = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
        dy, dx = y - row, x - column
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        load = 1.1 - np.hypot(along, across / squeeze) / (reach * unit) + 0.42 * ragged
        field = np.maximum(field, 1 / (1 + np.exp(-6 * (load - 0.15))))
    return np.asarray(field, np.float32)


def without_crumbs(mask: Mask, unit: float) -> Mask:
    """Without crumbs, as a hand would draw it."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 1.5 * unit) > 0.5
    labels, count = ndimage.label(smooth & mask)
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes > 120 * unit**2)[labels])
