"""The anatomy of a phantom chest in Hounsfield units: body, bones, lungs, vessels, airways, table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.phantoms.drawing import Field, Mask, cover, ring, smooth_noise
from hilum.phantoms.solids import Frame, Point, capsule, paint


@dataclass(frozen=True)
class Build:
    """Sizes of one chest in mm. x runs to the patient's left, y to the back, z to the head."""

    half_width: float
    half_depth: float
    fat: float
    base: float
    top: float
    heart: float
    spine: float
    lung: float


@dataclass(frozen=True, eq=False)
class Thorax:
    """A chest without noise: `voxels` (Z, Y, X) in HU, signed distances in mm, branches of the vessels."""

    voxels: Field
    lung: Field
    wall: Field
    forks: tuple[Point, ...]

    @property
    def inside(self) -> Mask:
        """Voxels of the lungs, their vessels and airways included."""
        return self.lung < 0


def draw_build(rng: np.random.Generator, height: float) -> Build:
    """A random build for a scan that is `height` mm long."""
    half_depth = rng.uniform(104, 116)
    return Build(
        half_width=rng.uniform(142, 154),
        half_depth=half_depth,
        fat=rng.uniform(4, 14),
        base=-height * rng.uniform(0.34, 0.38),
        top=height * rng.uniform(0.38, 0.44),
        heart=rng.uniform(0.9, 1.1),
        spine=0.5 * half_depth,
        lung=rng.uniform(-880, -835),
    )


def draw_thorax(rng: np.random.Generator, frame: Frame, build: Build) -> Thorax:
    """Draw a chest; all parts are at their sizes in mm whatever the voxels are."""
    z, y, x = frame.axes()
    soft = frame.voxel
    body = _body(z, y, x, build)
    wall = _wall(z, y, x, build)
    lung = _lungs(rng, frame, wall, build)
    voxels = _soft_parts(rng, frame, body, wall, build)
    _heart_and_vessels(voxels, frame, build)
    _bones(voxels, frame, wall, build)
    air = cover(lung, soft)
    texture = 18 * smooth_noise(rng, frame.shape, 5 * soft) + 10 * smooth_noise(rng, frame.shape, 14 * soft)
    sinking = 45 * (y / build.half_depth) + build.lung
    voxels += air * (texture + sinking - voxels)
    forks = _trees(rng, voxels, frame, lung, build)
    _airways(rng, voxels, frame, lung, build)
    return Thorax(voxels, lung, wall, tuple(forks))


def _body(z: Field, y: Field, x: Field, build: Build) -> Field:
    """Signed distance to the skin, an oval that widens to the shoulders."""
    wider = 1 + 0.1 / (1 + np.exp(-(z - build.top + 25) / 12))
    across, deep = x / (build.half_width * wider), y / build.half_depth
    rho = (np.abs(across) ** 2.4 + np.abs(deep) ** 2.4) ** (1 / 2.4)
    return np.asarray((rho - 1) * 0.95 * build.half_depth, np.float32)


def _wall(z: Field, y: Field, x: Field, build: Build) -> Field:
    """Signed distance to the inner side of the rib cage, which closes above like a dome."""
    rise = np.clip((z - build.top + 110) / 115, 0, 1)
    close = np.sqrt(np.clip(1 - rise**2.6, 0.02, 1))
    across = x / ((build.half_width - build.fat - 15) * close)
    deep = (y - 6 * rise) / ((build.half_depth - build.fat - 12) * (0.25 + 0.75 * close))
    rho = np.sqrt(across**2 + deep**2 + 0.12 * np.abs(across * deep))
    return np.asarray((rho - 1) * (build.half_depth - build.fat - 12) * close, np.float32)


def _lungs(rng: np.random.Generator, frame: Frame, wall: Field, build: Build) -> Field:
    """Signed distance to both lungs: the cage without mediastinum, heart, spine and diaphragm."""
    z, y, x = frame.axes()
    lung = wall + 3.0 + 0.8 * smooth_noise(rng, frame.shape, 40)
    middle = 17 + 10 * np.exp(-(((z - 5) / 40) ** 2)) + 6 * np.clip(-y / build.half_depth, 0, 1)
    middle = middle + 3.5 * smooth_noise(rng, frame.shape, 14)
    lung = np.maximum(lung, middle - np.abs(x + 4 * np.sin(z / 30)))
    spine = np.hypot(x / 1.15, y - build.spine - 4) - 25
    lung = np.maximum(lung, -spine)
    lung = np.maximum(lung, -_heart(z, y, x, build) + 3)
    side = np.sign(x)
    dome = build.base + 46 - 8 * side - 0.011 * (np.abs(x) - 58) ** 2 - 0.009 * (y + 12) ** 2
    lung = np.maximum(lung, (dome - z) * 0.85)
    return np.asarray(lung, np.float32)


def _heart(z: Field, y: Field, x: Field, build: Build) -> Field:
    """Signed distance to the heart, a tilted egg left of the middle above the diaphragm."""
    dz, dy, dx = z - build.base - 64, y + 30, x - 20
    along, across = 0.8 * dx - 0.45 * dz - 0.4 * dy, 0.8 * dz + 0.5 * dx
    rho = np.sqrt((along / 50) ** 2 + (across / 43) ** 2 + ((dy + 0.25 * dx) / 38) ** 2)
    return np.asarray((rho / build.heart - 1) * 42, np.float32)


def _soft_parts(rng: np.random.Generator, frame: Frame, body: Field, wall: Field, build: Build) -> Field:
    """Air, table, skin, fat, muscle, the fat of the mediastinum and the organs under the diaphragm."""
    z, y, x = frame.axes()
    soft = frame.voxel
    voxels = np.full(frame.shape, -1000, np.float32)
    sag = y - build.half_depth - 7 + 0.0011 * x**2
    plate = np.maximum(np.abs(sag - 11) - 11, np.abs(x) - 0.85 * build.half_width)
    voxels += cover(plate, soft) * 90 + ring(plate, -2.5, 0.5, soft) * 700
    muscle = cover(body + build.fat + 2.5 * smooth_noise(rng, frame.shape, 30), 1.5 * soft)
    flesh = -105 + muscle * 155
    flesh = flesh + ring(body, -2.0, 1.0, soft) * 90
    seams = smooth_noise(rng, frame.shape, (40, 9, 12))
    flesh = flesh - muscle * 75 * np.clip(seams - 1.0, 0, 1)
    voxels += cover(body, soft) * (flesh - voxels)
    belly = cover(wall + 2, soft) * cover(z - build.base - 46, 20)
    organ = 58 - 14 * cover(-x, 20) + 6 * smooth_noise(rng, frame.shape, 8)
    voxels += belly * (organ - voxels)
    chest = cover(wall + 2, soft) * (1 - cover(z - build.base - 46, 20))
    voxels += chest * (20 - 70 * cover(25 - np.abs(y + 20), 20) - voxels)
    bubble = np.sqrt(((z - build.base - 5) / 14) ** 2 + ((y + 25) / 20) ** 2 + ((x - 62) / 24) ** 2)
    voxels += cover((bubble - 1) * 14, soft) * (-960 - voxels)
    return np.asarray(voxels, np.float32)


def _heart_and_vessels(voxels: Field, frame: Frame, build: Build) -> None:
    """Heart, aorta with its arch, pulmonary trunk and the great veins."""
    axes = frame.axes()
    z, y, x = axes
    soft = frame.voxel
    voxels += cover(_heart(z, y, x, build), soft) * (46 - voxels)
    arch = build.base + 132
    low = build.base - 20
    pipes: list[tuple[Point, Point, float]] = [
        ((low, build.spine - 20, 20), (arch - 8, build.spine - 22, 22), 11.5),
        ((arch - 8, build.spine - 22, 22), (arch + 4, 0, 12), 11.5),
        ((arch + 4, 0, 12), (arch - 8, -22, -6), 12.5),
        ((arch - 8, -22, -6), (build.base + 80, -24, 6), 14.0),
        ((build.base + 90, -28, 14), (build.base + 108, -6, 24), 12.0),
        ((build.base + 106, -4, 24), (build.base + 104, 0, -34), 10.0),
        ((build.base + 70, -14, -26), (build.top + 10, -22, -20), 8.5),
    ]
    for start, end, radius in pipes:
        window, distance = capsule(frame, axes, start, end, (radius, radius))
        paint(voxels, window, cover(distance, soft), 48)


def _bones(voxels: Field, frame: Frame, wall: Field, build: Build) -> None:
    """Ribs that slope forwards and down, breast bone, vertebrae with discs, canal and spines."""
    z, y, x = frame.axes()
    soft = frame.voxel
    slope = z + 0.42 * (build.half_depth - y) + 0.06 * np.abs(x)
    phase = np.mod(slope, 27) - 13.5
    rib = (np.hypot((wall - 6) / 4.2, phase / 5.4) - 1) * 4.6
    front = cover(build.half_depth * 0.62 + y, 12) * cover(np.abs(x) - 75, 20)
    voxels += cover(rib, soft) * (430 - 330 * front - 180 * cover(rib + 2.2, soft) - voxels)
    plate = np.maximum(np.abs(y + build.half_depth - build.fat - 9) - 5, np.abs(x) - 15)
    sternum = np.maximum(plate, build.base + 55 - z)
    voxels += cover(sternum, soft) * (230 - 90 * cover(sternum + 2, soft) - voxels)
    blade = np.maximum(np.abs(wall - 17 - 0.04 * np.abs(x)) - 2.2, np.abs(np.abs(x) - 92) - 30)
    blade = np.maximum(np.maximum(blade, 22 - y), build.top - 105 - z)
    voxels += cover(blade, soft) * (360 - voxels)
    disc = cover(3.5 - np.abs(np.mod(z, 25) - 12.5), soft)
    body = np.hypot(x / 1.15, y - build.spine) - 15.5
    bone = 330 - 170 * cover(body + 2.2, soft)
    voxels += cover(body, soft) * (bone * (1 - disc) + 85 * disc - voxels)
    arch = np.hypot(x / 1.2, y - build.spine - 23) - 12
    spinous = np.maximum(np.abs(x) - 3.5, np.abs(y - build.spine - 38) - 11)
    across = np.maximum(np.abs(x) - 30, np.abs(y - build.spine - 21 - 0.12 * np.abs(x)) - 4)
    level = 1 - 0.7 * cover(6 - np.abs(np.mod(z, 25) - 12.5), soft)
    parts = np.minimum(np.minimum(arch, spinous), across)
    voxels += cover(parts, soft) * level * (310 - voxels)
    canal = np.hypot(x / 1.2, y - build.spine - 23) - 8
    voxels += cover(canal, soft) * (25 - voxels)


def _trees(rng: np.random.Generator, voxels: Field, frame: Frame, lung: Field, build: Build) -> list[Point]:
    """Vessels that branch from both hila to the rim of the lungs; returns the places where they fork."""
    forks: list[Point] = []
    middle = build.base + 98
    for side in (-1.0, 1.0):
        for tilt in np.linspace(-1.35, 1.25, 9):
            start = (middle + rng.normal(0, 9), rng.normal(2, 8), side * 32)
            heading = np.array((np.sin(tilt), rng.uniform(-0.9, 0.9), side * np.cos(tilt) * 0.9))
            _grow(rng, voxels, frame, lung, forks, start, heading, rng.uniform(3.6, 5.2))
    return forks


def _grow(
    rng: np.random.Generator,
    voxels: Field,
    frame: Frame,
    lung: Field,
    forks: list[Point],
    start: Point,
    heading: np.ndarray[tuple[int], np.dtype[np.float64]],
    radius: float,
) -> None:
    """Draw one vessel in a few bends and let it fork, until it is thin or at the rim."""
    axes = frame.axes()
    stack = [(start, heading / np.linalg.norm(heading), radius, 0)]
    while stack:
        at, way, thick, level = stack.pop()
        for _ in range(2):
            way = way + rng.normal(0, 0.22, 3)
            way = way / np.linalg.norm(way)
            length = rng.uniform(2.3, 3.8) * (thick + 1.6)
            end = (at[0] + length * way[0], at[1] + length * way[1], at[2] + length * way[2])
            window, distance = capsule(frame, axes, at, end, (thick, thick * 0.93))
            if distance.size:
                share = cover(distance, frame.voxel) * cover(lung[window] + 1, frame.voxel)
                voxels[window] = np.maximum(voxels[window], voxels[window] * (1 - share) + 38 * share)
            at, thick = end, thick * 0.93
        depth = _at(lung, frame, at)
        if thick < 0.5 or level > 7 or (level > 0 and depth > -3):
            continue
        if depth < -5:
            forks.append(at)
        for part in (0.86, rng.uniform(0.6, 0.82)):
            stack.append((at, way + rng.normal(0, 0.5, 3), thick * part, level + 1))


def _at(field: Field, frame: Frame, point: Point) -> float:
    index = tuple(
        int(min(max(round(i), 0), n - 1)) for i, n in zip(frame.index(point), frame.shape, strict=True)
    )
    return float(field[index])


def _airways(rng: np.random.Generator, voxels: Field, frame: Frame, lung: Field, build: Build) -> None:
    """Windpipe, main bronchi and three generations of branches, with walls."""
    fork = (build.base + 118, 6.0, 2.0)
    pipes: list[tuple[Point, Point, float, float]] = [((build.top + 40, -6.0, 0.0), fork, 8.5, 8.5)]
    for side in (-1.0, 1.0):
        hilum = (fork[0] - 18, 8.0, side * 30)
        pipes.append((fork, hilum, 6.5, 5.2))
        for tilt in (-1.2, -0.4, 0.5, 1.1):
            way = np.array((np.sin(tilt), rng.uniform(-0.6, 0.7), side * np.cos(tilt)))
            at, radius = hilum, 3.3
            for _ in range(4):
                way = way / np.linalg.norm(way)
                end = (at[0] + 17 * way[0], at[1] + 17 * way[1], at[2] + 17 * way[2])
                pipes.append((at, end, radius, radius * 0.75))
                at, radius, way = end, radius * 0.75, way + rng.normal(0, 0.3, 3)
    axes = frame.axes()
    drawn = []
    for start, end, wide, narrow in pipes:
        window, distance = capsule(frame, axes, start, end, (wide, narrow), margin=2)
        distance = distance if wide > 3.5 else np.maximum(distance, lung[window] + 1)
        drawn.append((window, distance, float(np.clip(narrow - 0.6, 0, 1))))
    for window, distance, _ in drawn:
        paint(voxels, window, ring(distance, 0, 1.2, frame.voxel), 10)
    for window, distance, clear in drawn:
        paint(voxels, window, cover(distance, frame.voxel), -985 * clear - 400 * (1 - clear))
