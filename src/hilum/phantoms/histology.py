"""Phantom lung sections as a microscope with haematoxylin and eosin shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.phantoms.drawing import (
    Field,
    Mask,
    cell_walls,
    cover,
    generator,
    grid,
    ring,
    save_mask,
    save_picture,
    smooth_noise,
    specks,
    to_bytes,
)
from hilum.phantoms.kind import Kind
from hilum.phantoms.lobe import (
    draw_airways,
    draw_outline,
    draw_veins,
    inflammation_field,
    inflammation_sources,
    without_crumbs,
)

# Optical density of each dye in red, green and blue.
_HAEMATOXYLIN = np.array((0.60, 0.80, 0.36), np.float32)
_EOSIN = np.array((0.11, 0.74, 0.36), np.float32)
_BLOOD = np.array((0.24, 1.55, 1.35), np.float32)
_SEVERITY = (0.75, 0.0, 1.0, 0.4, 0.55, 0.0, 0.9)
_ANIMAL_IMAGES = (2, 2, 3, 1, 2, 2)


@dataclass(frozen=True)
class Animal:
    """What all sections of one animal share: inflammation 0 to 1, stain strengths, tissue texture."""

    number: int
    genotype: str
    severity: float
    stain: tuple[float, float, float]
    spacing: float
    wall: float


@dataclass(frozen=True, eq=False)
class Section:
    """One section: image (Y, X, 3) uint8 and its two masks (Y, X)."""

    image: NDArray[np.uint8]
    parenchyma: Mask
    inflammation: Mask


def make(out: Path, cases: int, seed: int, size: tuple[int, ...]) -> None:
    """Write `cases` sections with masks of several animals, and two sections of a new animal to predict."""
    shape = (size[0], size[1])
    rows = _schedule(seed, cases)
    for number, (animal, image) in enumerate(rows):
        section = draw_section(generator(seed, 1, number), animal, shape)
        stem = f"{animal.number}_{animal.genotype}_FLU_{image}"
        save_picture(out / "train" / "Original_0.2" / f"{stem}.jpg", section.image, quality=92)
        save_mask(out / "train" / "Parenchyma_0.2" / f"{stem}.png", section.parenchyma)
        save_mask(out / "train" / "SevereInflammation_0.2" / f"{stem}.png", section.inflammation)
    animal = draw_animal(generator(seed, 2), rows[-1][0].number + 3, 0.8)
    for image in (1, 2):
        section = draw_section(generator(seed, 2, image), animal, shape)
        stem = f"{animal.number}_{animal.genotype}_FLU_{image}"
        save_picture(out / "pred" / "Original_0.2" / f"{stem}.jpg", section.image, quality=92)


KIND = Kind(
    make,
    about="stained lung sections with parenchyma and severe inflammation",
    cases=12,
    size=(480, 640),
    smallest=(96, 96),
)


def _schedule(seed: int, cases: int) -> list[tuple[Animal, int]]:
    """Animal and image number of each case: one to three images an animal."""
    rows: list[tuple[Animal, int]] = []
    index = 0
    number = 0
    while len(rows) < cases:
        rng = generator(seed, 3, index)
        number += int(rng.integers(1, 5))
        animal = draw_animal(rng, number, _SEVERITY[index % len(_SEVERITY)])
        rows += [(animal, image + 1) for image in range(_ANIMAL_IMAGES[index % len(_ANIMAL_IMAGES)])]
        index += 1
    return rows[:cases]


def draw_animal(rng: np.random.Generator, number: int, severity: float) -> Animal:
    """An animal with its own staining; `severity` 0 means no inflammation at all."""
    return Animal(
        number=number,
        genotype="KO" if rng.random() < 0.5 else "WT",
        severity=severity,
        stain=(rng.uniform(0.45, 1.15), rng.uniform(0.75, 1.35), rng.uniform(0.9, 1.1)),
        spacing=rng.uniform(7.5, 9.5),
        wall=rng.uniform(0.75, 1.1),
    )


def draw_section(rng: np.random.Generator, animal: Animal, shape: tuple[int, int]) -> Section:
    """Draw one section (Y, X) of `animal`: tissue, airways, vessels, inflammation, light."""
    unit = min(shape) / 480
    tissue = draw_outline(rng, shape)
    airways, arteries, centres = draw_airways(rng, shape, unit, tissue)
    veins = draw_veins(rng, shape, unit, tissue, np.minimum(airways, arteries))
    holes = np.minimum(np.minimum(airways - 7 * unit, arteries - 4 * unit), veins - 1.5 * unit)
    parenchyma = (tissue < 0) & (holes > 0)
    sources = inflammation_sources(rng, shape, animal.severity, centres)
    field = inflammation_field(rng, shape, unit, sources)
    inflammation = without_crumbs((field > 0.5) & parenchyma, unit)
    dyes = _parenchyma_dyes(rng, animal, tissue, field, shape)
    dyes = _paint_pipes(rng, dyes, airways, arteries, veins, tissue, unit)
    return Section(_develop(rng, dyes, animal, shape), parenchyma, inflammation)


def _parenchyma_dyes(
    rng: np.random.Generator, animal: Animal, tissue: Field, field: Field, shape: tuple[int, int]
) -> Field:
    """Dye densities (3, Y, X): haematoxylin, eosin, blood, of alveolar walls and inflamed tissue."""
    spacing = animal.spacing * max(min(shape) / 480, 0.6)
    walls = cell_walls(rng, shape, spacing, merge=0.45)
    loose = np.clip(smooth_noise(rng, shape, spacing * 5), -1.5, 1.5)
    thick = animal.wall * (1.05 + 0.4 * smooth_noise(rng, shape, spacing * 0.6) - 0.25 * loose)
    thick = thick + 0.55 * spacing * (0.12 * field + 0.88 * field**2)
    ducts = np.abs(smooth_noise(rng, shape, spacing * 2.6)) < 0.13 * np.clip(1 - 1.8 * field, 0, 1)
    wall = cover(walls - thick, 1.2) * (1 - 0.9 * ndimage.uniform_filter(ducts.astype(np.float32), 3))
    body = cover(tissue, 1.5)
    pleura = ring(tissue, -1.8, 0.6, 1.2)
    solid = np.clip((field - 0.3) / 0.6, 0, 1)
    clumps = np.clip(1 + 0.45 * smooth_noise(rng, shape, spacing * 1.5), 0.2, 2)
    grain = 1 + 0.2 * smooth_noise(rng, shape, 2.0)
    eosin = body * wall * (0.58 + 0.16 * solid) * grain + 0.7 * pleura + 0.04 * body * solid
    nuclei = specks(rng, body * wall * (0.05 + 0.075 * solid * clumps), 0.75, 0.8)
    haze = body * wall * (0.12 + 0.17 * solid * clumps) * grain
    haematoxylin = np.minimum(nuclei, 1.1) + haze
    seep = specks(rng, body * wall * 0.003 * (1 + 2 * solid), 0.9, 0.45)
    return np.stack((haematoxylin, eosin, np.minimum(seep, 0.8))).astype(np.float32)


def _paint_pipes(
    rng: np.random.Generator,
    dyes: Field,
    airways: Field,
    arteries: Field,
    veins: Field,
    tissue: Field,
    unit: float,
) -> Field:
    """Clear the lumina and draw epithelium, muscle, vessel walls and red cells over the parenchyma."""
    shape = airways.shape
    body = cover(tissue - 2, 1.5)
    grain = 1 + 0.2 * smooth_noise(rng, shape, 2.0 * unit)
    clear = np.maximum(
        cover(airways - 6.5 * unit), np.maximum(cover(arteries - 4 * unit), cover(veins - unit))
    )
    dyes = dyes * (1 - clear * body)
    frill = airways + 0.6 * unit * smooth_noise(rng, shape, 2.6 * unit)
    lining = ring(frill, 0.0, 4.4 * unit, 1.2) * body
    sleeve = ring(airways, 4.2 * unit, 7.0 * unit, 1.5) * body
    intima = ring(arteries, 0.0, 2.0 * unit) * body
    loose = ring(arteries, 1.8 * unit, 4.6 * unit, 1.5) * body
    clot = cover(arteries + 1.5 * unit) * cover(0.5 - smooth_noise(rng, shape, 7 * unit), 0.5) * body
    red = np.maximum(clot * 0.8, cover(veins) * body) * (0.9 + 0.25 * smooth_noise(rng, shape, 2.4 * unit))
    nuclei = specks(rng, lining * 0.16 + (intima + sleeve + loose) * 0.045, 0.75 * max(unit, 0.6), 0.7)
    dyes[0] += np.minimum(nuclei, 1.0) + (0.38 * lining + 0.08 * sleeve + 0.06 * intima) * grain
    dyes[1] += (0.85 * lining + 0.5 * sleeve + 0.85 * intima + 0.3 * loose) * grain
    dyes[1] += 0.45 * ring(veins, 0.0, 1.2 * unit) * body
    dyes[2] += np.clip(red, 0, 1.2)
    return dyes


def _develop(
    rng: np.random.Generator, dyes: Field, animal: Animal, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Dyes (3, Y, X) to a photograph (Y, X, 3): Beer-Lambert, uneven lamp, dust, focus, sensor noise."""
    stains = np.stack((_HAEMATOXYLIN, _EOSIN, _BLOOD)) * np.array(animal.stain, np.float32)[:, None]
    density = np.einsum("dyx,dc->yxc", dyes, stains)
    y, x = grid(shape)
    off = rng.normal(0, 0.12, 2)
    far = np.hypot(y / shape[0] - 0.5 - off[0], x / shape[1] - 0.5 - off[1]).astype(np.float32)
    edge = np.clip((far - 0.38) / 0.5, 0, 1) ** 1.4
    lamp = 0.93 - 0.42 * edge[..., None] * np.array((1.0, 0.9, 0.78), np.float32)
    lamp = lamp * np.array((0.995, 1.0, 1.005), np.float32) * rng.uniform(0.95, 1.03)
    lamp = lamp + 0.015 * smooth_noise(rng, shape, max(shape) / 3)[..., None]
    dust = specks(rng, np.full(shape, 8 / (shape[0] * shape[1]), np.float32), 1.6, 0.7)[..., None]
    picture = lamp * np.exp(-density - np.minimum(dust, 0.8))
    focus = rng.uniform(0.35, 0.7)
    picture = ndimage.gaussian_filter(picture, (focus, focus, 0))
    return to_bytes(picture + rng.normal(0, 0.008, picture.shape))
