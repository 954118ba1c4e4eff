"""Phantom chest CT with marked nodules, in the layout of the LUNA16 challenge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.files import write_text
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.phantoms.drawing import Field, Mask, cover, generator, grid
from hilum.phantoms.kind import Kind
from hilum.phantoms.solids import Frame, Point, cut, paint
from hilum.phantoms.thorax import Thorax, draw_build, draw_thorax

EXTENT_MM = (250.0, 325.0, 325.0)
NODULES = ("solid", "wall", "vessel", "ground glass", "solid")
_PADDING = (-2000, -1000, -2048, -3024)


@dataclass(frozen=True)
class Nodule:
    """One marked nodule: centre in world coordinates x, y, z and diameter, all in mm."""

    centre: Point
    diameter: float
    kind: str


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan: voxels (Z, Y, X) int16 in HU, geometry in mm, truth, and decoys (x, y, z) of no nodule."""

    voxels: NDArray[np.int16]
    spacing: tuple[float, float, float]
    origin: Point
    nodules: tuple[Nodule, ...]
    decoys: tuple[Point, ...]
    lungs: Mask


def make(out: Path, cases: int, seed: int, size: tuple[int, ...], subsets: int = 2) -> None:
    """Write `cases` scans in `subsets` folders, with `annotations.csv` and `candidates.csv` beside them.

    `candidates.csv` names each nodule (class 1) and look-alikes such as forks of vessels (class 0).
    """
    marks, candidates = (
        ["seriesuid,coordX,coordY,coordZ,diameter_mm"],
        ["seriesuid,coordX,coordY,coordZ,class"],
    )
    for number in range(cases):
        uid = series_uid(generator(seed, 30, number))
        scan = draw_scan(generator(seed, 31, number), (size[0], size[1], size[2]), number)
        geometry = Geometry(scan.origin, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        image = Image(scan.voxels[None], Spacing(scan.spacing, "mm"), geometry=geometry)
        folder = out / f"subset{number * max(1, subsets) // cases}"
        folder.mkdir(parents=True, exist_ok=True)
        write_volume(folder / f"{uid}.mhd", image, compress=False)
        for nodule in scan.nodules:
            marks.append(f"{uid},{_row(nodule.centre)},{nodule.diameter:.4f}")
            candidates.append(f"{uid},{_row(nodule.centre)},1")
        candidates += [f"{uid},{_row(decoy)},0" for decoy in scan.decoys]
    write_text(out / "annotations.csv", "\n".join(marks) + "\n")
    write_text(out / "candidates.csv", "\n".join(candidates) + "\n")


KIND = Kind(
    make,
    about="chest CT with marked lung nodules, as LUNA16 has them",
    cases=4,
    size=(120, 220, 220),
    smallest=(24, 48, 48),
)


def _row(point: Point) -> str:
    return ",".join(f"{at:.4f}" for at in point)


def series_uid(rng: np.random.Generator) -> str:
    """A unique identifier as DICOM wants it, under the root 2.25 that nobody owns."""
    return "2.25." + str(int(rng.integers(1, 10))) + "".join(str(digit) for digit in rng.integers(0, 10, 37))


def draw_scan(rng: np.random.Generator, shape: tuple[int, int, int], number: int = 0) -> Scan:
    """Draw one scan of `shape` (Z, Y, X). It covers a whole chest, so that fewer voxels are larger ones.

    `number` picks what lies outside the scan circle and how many nodules there are, none in some.
    """
    stretch = rng.uniform(0.96, 1.06)
    spacing = tuple(round(size * stretch / n, 4) for size, n in zip(EXTENT_MM, shape, strict=True))
    frame = Frame(shape, (spacing[0], spacing[1], spacing[2]))
    build = draw_build(rng, shape[0] * spacing[0])
    thorax = draw_thorax(rng, frame, build)
    voxels = thorax.voxels
    nodules = _nodules(rng, frame, thorax, number)
    for centre, diameter, kind in nodules:
        _draw_nodule(rng, voxels, frame, centre, diameter, kind)
    forks = [fork for fork in thorax.forks if all(_gap(fork, c) > d / 2 + 8 for c, d, _ in nodules)]
    chosen = rng.permutation(len(forks))[:12]
    corner = (rng.uniform(-20, 20), rng.uniform(-20, 20), rng.uniform(-350, -120))
    start = [-(n - 1) / 2 * step for n, step in zip(shape, frame.spacing, strict=True)]
    origin = tuple(round(s + c, 4) for s, c in zip(start[::-1], corner, strict=True))
    world = (origin[0] - start[2], origin[1] - start[1], origin[2] - start[0])
    return Scan(
        voxels=_scanned(rng, frame, voxels, _PADDING[number % len(_PADDING)]),
        spacing=frame.spacing,
        origin=(origin[0], origin[1], origin[2]),
        nodules=tuple(Nodule(_world(c, world), round(d, 4), kind) for c, d, kind in nodules),
        decoys=tuple(_world(forks[index], world) for index in chosen),
        lungs=thorax.inside,
    )


def _world(point: Point, middle: Point) -> Point:
    """A point z, y, x of the frame as x, y, z in the world."""
    return (point[2] + middle[0], point[1] + middle[1], point[0] + middle[2])


def _gap(one: Point, two: Point) -> float:
    return float(np.linalg.norm(np.subtract(one, two)))


def _nodules(
    rng: np.random.Generator, frame: Frame, thorax: Thorax, number: int
) -> list[tuple[Point, float, str]]:
    """Centre (z, y, x in mm of the frame), diameter in mm and kind of all; every fifth scan has none."""
    wanted = 0 if number % 5 == 4 else int(rng.integers(2, 5))
    smallest = max(4.0, 2.2 * frame.voxel)
    placed: list[tuple[Point, float, str]] = []
    for index in range(wanted):
        kind = NODULES[(index + number) % len(NODULES)]
        diameter = float(np.exp(rng.uniform(np.log(smallest), np.log(max(20.0, 1.5 * smallest)))))
        diameter = max(diameter, 7.0) if kind == "ground glass" else diameter
        places = _places(thorax, diameter, kind, frame)
        for pick in rng.permutation(len(places))[:20]:
            spot = places[pick]
            centre = _frame_point(frame, spot, rng)
            if all(_gap(centre, other) > (diameter + size) / 2 + 10 for other, size, _ in placed):
                placed.append((centre, diameter, kind))
                break
    return placed


def _places(thorax: Thorax, diameter: float, kind: str, frame: Frame) -> NDArray[np.int64]:
    """Voxels (N, 3) where a nodule of this kind may have its centre."""
    radius = diameter / 2
    if kind == "vessel" and thorax.forks:
        spots = np.round([frame.index(fork) for fork in thorax.forks]).astype(int)
        spots = np.clip(spots, 0, np.array(frame.shape) - 1)
        chosen: NDArray[np.int64] = spots[thorax.lung[tuple(spots.T)] < -radius - 2]
        return chosen
    step = tuple(slice(1, None, 3) for _ in frame.shape)
    depth, wall = thorax.lung[step], thorax.wall[step]
    if kind == "wall":
        low = -max(0.75 * radius, 1.2 * frame.voxel)
        allowed = (depth < 0.5 * low) & (depth > low - 0.6 * frame.voxel) & (wall > depth - 4.5)
    else:
        allowed = depth < -radius - 4
    return np.argwhere(allowed) * 3 + 1


def _frame_point(frame: Frame, spot: NDArray[np.int64], rng: np.random.Generator) -> Point:
    shifts = rng.uniform(-0.4, 0.4, 3)
    middles = [(n - 1) / 2 for n in frame.shape]
    z, y, x = ((spot + shifts - middles) * frame.spacing).tolist()
    return z, y, x


def _draw_nodule(
    rng: np.random.Generator, voxels: Field, frame: Frame, centre: Point, diameter: float, kind: str
) -> None:
    """Paint a slightly lobed ball; ground glass is faint and soft-edged."""
    radius = diameter / 2
    reach = 1.4 * radius + 2 * max(frame.spacing)
    window = frame.window([at - reach for at in centre], [at + reach for at in centre])
    offsets = [cut(axis, window, i) - centre[i] for i, axis in enumerate(frame.axes())]
    distance = np.sqrt(sum(offset**2 for offset in offsets)).astype(np.float32)
    lobes = np.zeros(distance.shape, np.float32)
    for _ in range(5):
        way = rng.normal(0, 1.6, 3)
        wave = sum(offset * w for offset, w in zip(offsets, way, strict=True)) / (distance + 0.3 * radius)
        lobes += np.sin(wave * 2 + rng.uniform(0, 6.3)).astype(np.float32)
    surface = distance - radius * (1 + 0.035 * lobes)
    if kind == "ground glass":
        paint(voxels, window, cover(surface, frame.voxel + 0.2 * radius), float(rng.uniform(-520, -380)))
    else:
        paint(voxels, window, cover(surface, frame.voxel), float(rng.uniform(10, 70)))


def _scanned(rng: np.random.Generator, frame: Frame, voxels: Field, padding: int) -> NDArray[np.int16]:
    """What the scanner makes of the chest: blur, noise with its grain, values outside the circle."""
    noise = rng.standard_normal(frame.shape, np.float32)
    noise = ndimage.uniform_filter(noise, (1, 2, 2)) * (2 * rng.uniform(11, 24))
    seen = ndimage.gaussian_filter(voxels, (0.25, 0.4, 0.4), truncate=3) + noise
    seen = np.clip(np.round(seen), -1024, 3071)
    y, x = grid(frame.shape[1:])
    far = np.hypot((y + 0.5) / frame.shape[1] - 0.5, (x + 0.5) / frame.shape[2] - 0.5)
    seen[:, far > 0.5] = padding
    return np.asarray(seen, np.int16)
