"""Phantom chest X-rays of children: NORMAL and PNEUMONIA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from hilum.phantoms.drawing import Field, generator, grid, save_picture, smooth_noise, to_bytes
from hilum.phantoms.kind import Kind

CLASSES = ("NORMAL", "PNEUMONIA")


@dataclass(frozen=True)
class Patient:
    """The build of one patient, in units of half the picture's height around the middle of the chest."""

    width: float
    lean: float
    heart: float
    ribs: float
    depth: float
    dense: float


def make(out: Path, cases: int, seed: int, size: tuple[int, ...], shortcut: bool = False) -> None:
    """Write `cases` training X-rays in class folders and a third as many for the test, patients apart.

    Two of three show pneumonia. With `shortcut` NORMAL pictures are larger and carry their marker
    on the other side, which a classifier must not be allowed to use.
    """
    patient = 0
    for part, (split, count) in enumerate((("train", cases), ("test", max(2, cases // 3)))):
        number, first = 0, patient
        while number < count:
            build = draw_patient(generator(seed, 10, patient))
            sick = (patient - first) % 3 != 0
            side = "RL"[sick] if shortcut else None
            for _ in range(min(1 + (patient % 4 == 1), count - number)):
                rng = generator(seed, 11 + part, number)
                scale = (0.8 if sick else 1.15) if shortcut else 1.0
                picture = draw_xray(rng, build, sick, _size(rng, size, scale), side)
                name = _name(rng, patient, number, sick)
                save_picture(out / split / CLASSES[sick] / name, picture, quality=90)
                number += 1
            patient += 1


KIND = Kind(
    make,
    about="chest X-rays of children, NORMAL and PNEUMONIA",
    cases=48,
    size=(320, 400),
    smallest=(96, 120),
    fewest=2,
)


def _size(rng: np.random.Generator, size: tuple[int, ...], scale: float) -> tuple[int, int]:
    factor = scale * rng.uniform(0.9, 1.1)
    return round(size[0] * factor * rng.uniform(0.93, 1.07)), round(size[1] * factor)


def _name(rng: np.random.Generator, patient: int, number: int, sick: bool) -> str:
    """File names as in the paediatric pneumonia set: they tell the patient."""
    if not sick:
        return f"IM-{115 + patient:04d}-{number + 1:04d}.jpeg"
    return f"person{patient + 1}_{'bacteria' if rng.random() < 0.65 else 'virus'}_{number + 1}.jpeg"


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient of random build."""
    return Patient(
        width=rng.uniform(0.76, 0.88),
        lean=rng.normal(0, 0.025),
        heart=rng.uniform(0.85, 1.12),
        ribs=rng.uniform(0.122, 0.138),
        depth=rng.uniform(0.92, 1.08),
        dense=rng.uniform(0.8, 1.2),
    )


def draw_xray(
    rng: np.random.Generator,
    patient: Patient,
    sick: bool,
    shape: tuple[int, int],
    side: str | None = None,
) -> NDArray[np.uint8]:
    """Draw one film (Y, X) of `patient`, with opacities where `sick`; bone is bright, air is dark.

    The marker letter, "R" or "L" by chance unless `side` says, means nothing.
    """
    y, x = _frame(rng, shape, patient)
    lungs, body = _lungs(y, x, patient), _body(y, x, patient)
    heart = _heart(y, x, patient)
    thick = body * (0.74 * patient.depth + 0.1 * _soft(y - 0.3, 0.25)) - 0.42 * lungs * (1 - 0.62 * heart)
    thick = thick + 0.06 * heart + _mediastinum(y, x) * body
    bones = _ribs(y, x, patient) + _spine(y, x) + _shoulders(y, x)
    thick = thick + 0.75 * patient.dense * bones * np.minimum(1.6 * body, 1)
    thick = thick + 0.15 * _vessels(rng, y, x) * lungs
    if sick:
        thick = thick + _opacities(rng, y, x) * lungs * (1 - 0.5 * heart)
    thick = thick + 0.018 * smooth_noise(rng, shape, shape[0] / 5) * body
    return _expose(rng, thick, side)


def _soft(distance: Field, width: float) -> Field:
    """Smooth step from 0 to 1 around zero, about `width` wide."""
    return np.asarray(1 / (1 + np.exp(np.clip(-4 * distance / width, -30, 30))), np.float32)


def _frame(rng: np.random.Generator, shape: tuple[int, int], patient: Patient) -> tuple[Field, Field]:
    """Body coordinates of each pixel: half a picture height is 1, the spine is x = 0, slightly turned."""
    rows, columns = grid(shape)
    y, x = rows / shape[0] * 2 - 1, (columns - shape[1] / 2) / shape[0] * 2
    turn, zoom = rng.normal(0, 0.03), rng.uniform(1.04, 1.2)
    across = (x * np.cos(turn) + y * np.sin(turn)) / zoom + rng.normal(0, 0.04)
    down = (y * np.cos(turn) - x * np.sin(turn)) / zoom + rng.normal(-0.02, 0.03)
    bent = across + patient.lean * np.cos(2 * down)
    return down.astype(np.float32), bent.astype(np.float32)


def _chest(y: Field, patient: Patient) -> Field:
    """Half width of the rib cage at each height: a dome that widens downwards."""
    part = np.clip((y + 0.66) / 1.15, 0, 1)
    return np.asarray(patient.width * (1 - (1 - part) ** 2.4) ** 0.62, np.float32)


def _lungs(y: Field, x: Field, patient: Patient) -> Field:
    """Cover of the two lungs above the diaphragm; the right one, left in the picture, is shorter."""
    wide = np.abs(x)
    outer = _soft(_chest(y, patient) - 0.05 - wide, 0.06)
    medial = _soft(wide - 0.15 - 0.05 * _soft(y + 0.1, 0.5), 0.05)
    dome = 0.33 + 0.05 * np.sign(x) + 1.25 * (wide - 0.34) ** 2
    return outer * medial * _soft(dome - y, 0.04)


def _heart(y: Field, x: Field, patient: Patient) -> Field:
    """Cover of the heart's shadow, apex to the patient's left."""
    dy, dx = y - 0.16, x - 0.13
    along, across = dx * 0.8 + dy * 0.6, dy * 0.8 - dx * 0.6
    rho = np.hypot(along / 0.42, across / 0.31) / patient.heart
    return _soft((1 - rho) * 0.33, 0.05)


def _mediastinum(y: Field, x: Field) -> Field:
    """Great vessels beside the spine, with the air of the windpipe as a darker stripe."""
    band = _soft(0.17 - np.abs(x) + 0.02 * np.sin(6 * y), 0.1) * _soft(0.55 - y, 0.3)
    knob = _soft(0.085 - np.hypot(x - 0.13, y + 0.24), 0.06)
    windpipe = _soft(0.045 - np.abs(x + 0.01), 0.03) * _soft(-0.2 - y, 0.12)
    return 0.08 * band + 0.06 * knob - 0.09 * windpipe


def _body(y: Field, x: Field, patient: Patient) -> Field:
    """Thickness of soft tissue, 0 to about 1: trunk, shoulders, arms, neck and the head's lower rim."""
    wide = np.abs(x)
    half = patient.width + 0.12 + 0.05 * np.cos(2.5 * y)
    line = y + 0.7 - 0.26 * np.clip(wide - 0.2, 0, 0.45) - 0.12 * wide**2
    below = _soft(line, 0.07) * (0.5 + 0.5 * _soft(line - 0.25, 0.45))
    trunk = _soft(half - wide, 0.03) * (0.55 + 0.45 * np.sqrt(np.clip(1 - (wide / (half + 0.02)) ** 2, 0, 1)))
    arm = 0.42 * _soft(-0.2 + 0.25 * (wide - 0.95) - y, 0.05) * _soft(wide - 0.75, 0.2)
    neck = 0.72 * _soft(0.23 + 0.8 * np.clip(y + 0.82, 0, 1) ** 1.5 - wide, 0.07) * _soft(-0.3 - y, 0.3)
    jaw = 0.95 * _soft(1 - np.hypot(x / 0.46, (y + 1.3) / 0.4), 0.15)
    return np.asarray(np.maximum(np.maximum(trunk, arm) * below, np.maximum(neck, jaw)), np.float32)


def _ribs(y: Field, x: Field, patient: Patient) -> Field:
    """Ten pairs of ribs: each an ellipse in a tilted plane, whose front part fades into cartilage."""
    wide = np.abs(x)
    total = np.zeros(np.broadcast_shapes(y.shape, x.shape), np.float32)
    for pair in range(10):
        top = -0.6 + pair * patient.ribs
        reach = float(_chest(np.array(top + 0.3), patient)) if pair else 0.5 * patient.width
        height = 0.15 + 0.012 * pair
        down = y - top - height - (0.05 + 0.012 * pair) * wide
        u, v = wide / reach, down / height
        rho = np.hypot(u, v) + 1e-4
        distance = (rho - 1) * rho / (np.hypot(u / reach, v / height) + 1e-4)
        bone = np.clip(1 - (distance / 0.03) ** 2, 0, 1)
        shell = np.sqrt(bone) * 0.55 + 0.45 * np.exp(-(((np.abs(distance) - 0.024) / 0.008) ** 2))
        back = _soft(-v, 0.6) * _soft(wide - 0.07, 0.04)
        front = 0.55 * _soft(v, 0.6) * _soft(wide - 0.4 * reach, 0.2)
        total += (shell * (back + front)).astype(np.float32)
    return 0.21 * total


def _spine(y: Field, x: Field) -> Field:
    """Vertebral bodies with disc spaces and pedicles."""
    phase = np.mod(y / 0.125 + 0.02 * np.cos(9 * x), 1) - 0.5
    bodies = _soft(0.085 - np.abs(x), 0.03) * (0.11 + 0.06 * _soft(0.38 - np.abs(phase), 0.1))
    pedicles = np.hypot((np.abs(x) - 0.06) / 0.016, phase / 0.17)
    return np.asarray(bodies + 0.07 * np.exp(-((pedicles - 1) ** 2) * 6), np.float32)


def _shoulders(y: Field, x: Field) -> Field:
    """Collar bones, the edges of the shoulder blades and the heads of the arm bones."""
    wide = np.abs(x)
    line = y + 0.46 + 0.24 * wide - 0.04 * np.sin(7 * wide)
    collar = (
        np.clip(1 - (line / 0.038) ** 2, 0, 1) ** 0.5 * _soft(wide - 0.11, 0.03) * _soft(0.72 - wide, 0.05)
    )
    blade = np.exp(-(((wide - 0.83 + 0.28 * (y + 0.45)) / 0.016) ** 2)) * _soft(0.22 - np.abs(y + 0.28), 0.15)
    shaft = np.abs(y + 0.42 - 0.22 * (wide - 0.8))
    arm = np.clip(1 - (shaft / 0.075) ** 2, 0, 1) ** 0.5 * _soft(wide - 0.92, 0.05)
    return np.asarray(0.34 * collar + 0.13 * blade + 0.3 * arm, np.float32)


def _vessels(rng: np.random.Generator, y: Field, x: Field) -> Field:
    """Vessels that branch from both hila, dense near them and thin at the rim."""
    shape = np.broadcast_shapes(y.shape, x.shape)
    canvas = PillowImage.new("F", (shape[1], shape[0]))
    pen = ImageDraw.Draw(canvas)
    scale = shape[0] / 2
    middle = (shape[1] / 2 - float(x[shape[0] // 2, shape[1] // 2]) * scale, shape[0] / 2)
    for side in (-1, 1):
        for _ in range(13):
            at = (middle[0] + side * 0.2 * scale, middle[1] + rng.normal(-0.02, 0.06) * scale)
            heading = rng.uniform(-1.25, 1.35)
            width = rng.uniform(0.01, 0.028) * scale
            for step in range(7):
                length = rng.uniform(0.05, 0.11) * scale
                end = (at[0] + side * length * np.cos(heading), at[1] + length * np.sin(heading))
                pen.line((*at, *end), fill=1.0 - 0.1 * step, width=max(1, round(width)))
                at, heading, width = end, heading + rng.normal(0, 0.3), width * 0.8
    lines = ndimage.gaussian_filter(np.asarray(canvas, np.float32), scale * 0.006)
    hila = np.exp(-(((np.abs(x) - 0.2) / 0.07) ** 2) - ((y + 0.02) / 0.16) ** 2)
    return np.asarray(np.minimum(lines, 1.3) + 0.35 * hila, np.float32)


def _opacities(rng: np.random.Generator, y: Field, x: Field) -> Field:
    """What pneumonia adds: one lobe filled, or patches and streaks on both sides."""
    shape = np.broadcast_shapes(y.shape, x.shape)
    scale = shape[0] / 2
    ragged = smooth_noise(rng, shape, 0.16 * scale) + 0.5 * smooth_noise(rng, shape, 0.06 * scale)
    lobar = rng.random() < 0.5
    total = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 3) if lobar else rng.integers(4, 8))):
        side = rng.choice((-1.0, 1.0))
        centre = (rng.uniform(-0.35, 0.3), side * rng.uniform(0.25, 0.62))
        radius = rng.uniform(0.2, 0.34) if lobar else rng.uniform(0.09, 0.2)
        rho = np.hypot((y - centre[0]) / rng.uniform(0.8, 1.2), x - centre[1]) / radius
        total = np.maximum(total, _soft(1 - rho + 0.25 * ragged, 1.1) * rng.uniform(0.7, 1.0))
    streaks = np.clip(smooth_noise(rng, shape, (0.02 * scale + 1, 0.05 * scale + 1)), 0, 2)
    texture = 1 + 0.16 * streaks
    haze = 0.06 * _soft(0.4 - np.hypot(np.abs(x) - 0.3, y), 0.4) * (1 + 0.4 * ragged)
    return np.asarray(total * texture * rng.uniform(0.17, 0.36) + np.clip(haze, 0, None), np.float32)


def _expose(rng: np.random.Generator, thick: Field, side: str | None) -> NDArray[np.uint8]:
    """Film of the thickness: exposure, contrast, scatter, noise, cut edges and the marker."""
    scatter = ndimage.gaussian_filter(thick, thick.shape[0] / 18)
    film = np.clip(0.88 * thick + 0.12 * scatter, 0, None) * rng.uniform(0.88, 1.1)
    film = 0.02 + 0.95 * film ** rng.uniform(0.95, 1.35)
    film = film / (1 + np.clip(film - 0.75, 0, None))
    film = film + rng.normal(0, 1, film.shape) * (0.006 + 0.014 * np.sqrt(np.clip(film, 0, 1)))
    film = ndimage.gaussian_filter(film, 0.4)
    picture = to_bytes(film)
    _mark(rng, picture, side or str(rng.choice(("R", "L"), p=(0.7, 0.3))))
    return picture


def _mark(rng: np.random.Generator, picture: NDArray[np.uint8], side: str) -> None:
    """Burn the side marker into the picture (Y, X): R on the left of it, L on the right."""
    height, width = picture.shape
    canvas = PillowImage.new("L", (width, height))
    size = max(8, round(height * rng.uniform(0.06, 0.1)))
    across = rng.uniform(0.03, 0.1) * width
    left = across if side == "R" else width - across - size * 0.7
    place = (left, height * rng.uniform(0.12, 0.4))
    ImageDraw.Draw(canvas).text(place, side, fill=255, font=ImageFont.load_default(size))
    letter = ndimage.gaussian_filter(np.asarray(canvas, np.float32), 0.5) / 255
    picture[:] = np.maximum(picture, np.round(letter * rng.uniform(225, 255)).astype(np.uint8))
