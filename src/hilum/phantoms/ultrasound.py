"""Phantom ultrasound of the neck: a nerve with a bright rim among muscles, a vessel as a decoy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.files import write_text
from hilum.image.runlength import encode
from hilum.phantoms.drawing import (
    Field,
    Mask,
    blob,
    cell_walls,
    cover,
    generator,
    grid,
    ring,
    save_mask,
    save_picture,
    smooth_noise,
    to_bytes,
)
from hilum.phantoms.kind import Kind

FRAMES_A_SUBJECT = 6


@dataclass(frozen=True)
class Neck:
    """What all frames of one subject share; places are parts of the picture's height and width."""

    key: tuple[int, int]
    layers: tuple[float, ...]
    slope: float
    nerve: tuple[float, float]
    nerve_radii: tuple[float, float]
    tilt: float
    vessel: tuple[float, float]
    vessel_radius: float
    gain: float


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: image (Y, X) uint8 and the nerve's mask (Y, X), empty where no nerve is seen."""

    image: NDArray[np.uint8]
    nerve: Mask


def make(out: Path, cases: int, seed: int, size: tuple[int, ...], contradictions: int = 0) -> None:
    """Write `cases` training frames with masks, a third as many test frames, and the test's truth.

    Every second frame shows no nerve. With `contradictions` = N, each N-th frame with a nerve is followed
    by a near-identical one whose mask is empty, as happens in sets marked by hand; 0 means none.
    The truth is `solution.csv`: run lengths over the column-major mask, 1-based, as the challenge has them.
    """
    shape = (size[0], size[1])
    previous: Frame | None = None
    for index in range(cases):
        subject, number = index // FRAMES_A_SUBJECT + 1, index % FRAMES_A_SUBJECT + 1
        rng = generator(seed, 20, index)
        neck, present = draw_neck((seed, subject)), index % 2 == 0
        if previous is not None and not present and contradictions and (index // 2 + 1) % contradictions == 0:
            frame = _contradiction(rng, previous)
        else:
            frame = draw_frame(rng, neck, present, shape)
        save_picture(out / "train" / f"{subject}_{number}.tif", frame.image)
        save_mask(out / "train" / f"{subject}_{number}_mask.tif", frame.nerve)
        previous = frame
    rows = ["img,pixels"]
    for index in range(max(2, cases // 3)):
        rng, neck = generator(seed, 21, index), draw_neck((seed, 1000 + index // 4))
        frame = draw_frame(rng, neck, bool((index + index // 4) % 2 == 0), shape)
        save_picture(out / "test" / f"{index + 1}.tif", frame.image)
        rows.append(f"{index + 1},{encode(frame.nerve)}")
    write_text(out / "solution.csv", "\n".join(rows) + "\n")


KIND = Kind(
    make,
    about="ultrasound of the neck with a nerve in every second frame",
    cases=24,
    size=(420, 580),
    smallest=(64, 64),
)


def _contradiction(rng: np.random.Generator, frame: Frame) -> Frame:
    noise = rng.normal(0, 2.0, frame.image.shape)
    image = np.asarray(np.clip(frame.image + noise, 0, 255), np.uint8)
    return Frame(image, np.zeros_like(frame.nerve))


def draw_neck(key: tuple[int, int]) -> Neck:
    """The anatomy of one subject, fixed by `key` (seed, subject)."""
    rng = generator(key[0], 22, key[1])
    side = rng.choice((-1.0, 1.0))
    down, across = rng.uniform(0.46, 0.62), 0.5 + side * rng.uniform(0.02, 0.2)
    return Neck(
        key=key,
        layers=tuple(np.cumsum([0.05, *rng.uniform(0.09, 0.17, 7)])),
        slope=rng.normal(0, 0.06),
        nerve=(down, across),
        nerve_radii=(rng.uniform(0.08, 0.12), rng.uniform(0.1, 0.15)),
        tilt=rng.normal(0, 0.5),
        vessel=(down + rng.uniform(-0.2, 0.16), across - side * rng.uniform(0.24, 0.36)),
        vessel_radius=rng.uniform(0.045, 0.075),
        gain=rng.uniform(0.85, 1.15),
    )


def draw_frame(rng: np.random.Generator, neck: Neck, present: bool, shape: tuple[int, int]) -> Frame:
    """Draw one frame (Y, X) of `neck`; the nerve is in the plane where `present`."""
    height, width = shape
    unit = height / 420
    drift = rng.normal(0, 0.02, 2)
    echo = _tissue(rng, neck, shape, float(drift[0]))
    centre = ((neck.nerve[0] + drift[0]) * height, (neck.nerve[1] + drift[1]) * width)
    radii = (neck.nerve_radii[0] * height, neck.nerve_radii[1] * height)
    nerve = blob(rng, shape, centre, radii, neck.tilt + rng.normal(0, 0.1), wobble=0.07)
    echo = _nerve(rng, echo, nerve, unit) if present else _bundle(rng, echo, nerve, unit)
    if rng.random() < 0.85:
        at = ((neck.vessel[0] + drift[0]) * height, (neck.vessel[1] + drift[1]) * width)
        echo = _vessel(rng, echo, at, neck.vessel_radius * height, unit)
    mask = nerve < 2.5 * unit if present else np.zeros(shape, np.bool_)
    return Frame(_scan(rng, echo, neck.gain, unit), mask)


def _tissue(rng: np.random.Generator, neck: Neck, shape: tuple[int, int], drift: float) -> Field:
    """Echo strength, 0 to about 1.5, of skin, fat, muscles and the fasciae between them."""
    own = generator(neck.key[0], 23, neck.key[1])
    y, x = grid(shape)
    height, width = shape
    unit = height / 420
    slope = neck.slope * (x - width / 2)
    bend = _waves(own, width, 150 * unit, 9 * unit) + _waves(rng, width, 120 * unit, 2.5 * unit)
    echo: Field = np.full(shape, 0.36, np.float32)
    fasciae: Field = np.zeros(shape, np.float32)
    for index, place in enumerate(neck.layers):
        growing = min(1.0, 0.15 + 0.25 * index)
        own_bend = _waves(own, width, 130 * unit, 13 * unit)
        distance = y - (place + drift) * height - growing * (slope + bend + own_bend)
        level = own.uniform(0.13, 0.26 if index < 2 else 0.42)
        echo = echo + (level - echo) * cover(-distance, 3 * unit)
        bright = np.clip(0.5 + 0.6 * _waves(own, width, 55 * unit, 1.0), 0, 1.4)
        thick = (own.uniform(1.6, 3.6) + _waves(own, width, 30 * unit, 0.6)) * unit
        fasciae = np.maximum(fasciae, bright * np.exp(-((distance / thick) ** 2)) * own.uniform(0.7, 1.3))
    flow = np.broadcast_to(y - slope - bend, shape)
    fibres = _along(own, flow, shape, (4 * unit, 55 * unit))
    strands = np.clip(fibres - 1.0, 0, 1.3) * np.clip(0.5 + smooth_noise(own, shape, 70 * unit), 0, 1.8)
    patches = np.exp(0.45 * smooth_noise(own, shape, (28 * unit, 55 * unit)))
    return np.asarray((echo * np.exp(0.3 * fibres) + 0.55 * strands) * patches + fasciae, np.float32)


def _waves(rng: np.random.Generator, width: int, scale: float, swing: float) -> Field:
    """A smooth curve over the columns, about `swing` high."""
    return smooth_noise(rng, (width,), scale)[None] * np.float32(swing)


def _along(
    rng: np.random.Generator, flow: Field, shape: tuple[int, int], scale: tuple[float, float]
) -> Field:
    """Stretched noise that follows the layers: `flow` is the depth (Y, X) within them."""
    tall = (shape[0] + 200, shape[1])
    noise = smooth_noise(rng, tall, scale)
    rows = np.clip(flow + 100, 0, tall[0] - 1)
    columns = np.broadcast_to(np.arange(shape[1]), shape)
    return np.asarray(ndimage.map_coordinates(noise, (rows, columns), order=1), np.float32)


def _nerve(rng: np.random.Generator, echo: Field, nerve: Field, unit: float) -> Field:
    """A dark nerve with bundles, in a bright and broken rim."""
    shape = nerve.shape
    walls = cell_walls(rng, (shape[0], shape[1]), 17 * unit, merge=0.15)
    honeycomb = 0.13 + 0.24 * np.exp(-((walls / (2.2 * unit)) ** 2))
    inside = cover(nerve, 3 * unit)
    echo = echo * (1 - inside) + honeycomb * inside
    broken = np.clip(0.85 + 0.55 * smooth_noise(rng, shape, 26 * unit), 0.15, 1.6)
    rim = ring(nerve, -1.5 * unit, 6 * unit, 6 * unit)
    return np.asarray(echo * (1 - 0.7 * rim) + 0.85 * rim * broken, np.float32)


def _bundle(rng: np.random.Generator, echo: Field, nerve: Field, unit: float) -> Field:
    """Where there is no nerve: sometimes a dark piece of muscle without rim or bundles."""
    if rng.random() < 0.5:
        return echo
    piece = nerve * 0.8 + 14 * unit * smooth_noise(rng, nerve.shape, 35 * unit)
    return np.asarray(echo * (1 - 0.5 * cover(piece, 22 * unit)), np.float32)


def _vessel(
    rng: np.random.Generator, echo: Field, centre: tuple[float, float], radius: float, unit: float
) -> Field:
    """A vessel: no echo inside, a thin wall that shines above and below, brighter tissue behind."""
    shape = (echo.shape[0], echo.shape[1])
    radii = (radius * rng.uniform(0.7, 1.0), radius * rng.uniform(1.0, 1.35))
    lumen = blob(rng, shape, centre, radii, rng.normal(0, 0.2), wobble=0.04)
    y, x = grid(shape)
    behind = np.clip(1 - np.abs(x - centre[1]) / radii[1], 0, 1) * cover(centre[0] - y, radius)
    fading = np.exp(-np.clip(y - centre[0], 0, None) / (110 * unit))
    echo = echo * (1 + 0.8 * behind * fading)
    facing = np.abs(y - centre[0]) / (np.hypot(y - centre[0], x - centre[1]) + 1)
    wall = ring(lumen, 0, 2.6 * unit, 2 * unit) * facing**2
    empty = cover(lumen, 4 * unit)
    return np.asarray(echo * (1 - empty) + 0.035 * empty + 0.7 * wall, np.float32)


def _speckle(rng: np.random.Generator, shape: tuple[int, ...], unit: float) -> Field:
    """Speckle of mean 1, wider than tall as the beam is: two looks of complex noise, compounded."""
    beam = (1.15 * unit + 0.2, 2.9 * unit + 0.2)
    power = np.zeros(shape, np.float32)
    for _ in range(4):
        noise = rng.standard_normal(shape, np.float32)
        power += ndimage.gaussian_filter(noise, beam, truncate=3) ** 2
    return np.asarray((power / power.mean()) ** 0.5, np.float32)


def _scan(rng: np.random.Generator, echo: Field, gain: float, unit: float) -> NDArray[np.uint8]:
    """Echo strength to picture: shadows, depth, speckle of the beam, compression."""
    height, width = echo.shape
    y, x = grid((height, width))
    depth = y / height
    shadow = 1 - np.clip(_waves(rng, width, 55 * unit, 0.3), -0.1, 0.55) * depth
    edges = np.clip(np.minimum(x, width - 1 - x) / (0.12 * width), 0, 1)
    lamp = (1.12 - 0.55 * depth**1.5) * shadow * (0.7 + 0.3 * edges) * gain
    seen = ndimage.gaussian_filter(echo, (0.6 * unit, 2.0 * unit)) * lamp * _speckle(rng, echo.shape, unit)
    seen = seen + 0.012 * ndimage.gaussian_filter(np.abs(rng.standard_normal(echo.shape)), 0.7)
    return to_bytes(1.18 * (1 - np.exp(-1.75 * np.clip(seen, 0, None))) - 0.03)
