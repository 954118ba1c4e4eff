"""Lung sections: layout, and masks that agree with what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy import ndimage

from hilum.phantoms.drawing import generator
from hilum.phantoms.histology import draw_animal, draw_section
from hilum.phantoms.make import make_phantom

SHAPE = (240, 320)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phantom("histology", tmp_path_factory.mktemp("phantom") / "study", 6, size=SHAPE)


def stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.iterdir())


def test_layout_is_that_of_sibling_folders(study: Path) -> None:
    images = stems(study / "train" / "Original_0.2")
    assert len(images) == 6
    assert images == stems(study / "train" / "Parenchyma_0.2")
    assert images == stems(study / "train" / "SevereInflammation_0.2")
    assert len({name.split("_")[0] for name in images}) >= 3
    assert all(name.split("_")[1] in ("WT", "KO") and name.split("_")[2] == "FLU" for name in images)


def test_animals_to_predict_are_new(study: Path) -> None:
    new = stems(study / "pred" / "Original_0.2")
    known = {name.split("_")[0] for name in stems(study / "train" / "Original_0.2")}
    assert len(new) == 2
    assert not {name.split("_")[0] for name in new} & known


def test_files_hold_the_asked_size_and_clean_masks(study: Path) -> None:
    for path in (study / "train").rglob("*.*"):
        if not path.is_file():
            continue
        with PillowImage.open(path) as picture:
            assert picture.size == (SHAPE[1], SHAPE[0])
            if path.suffix == ".png":
                assert set(np.unique(np.asarray(picture))) <= {0, 255}
            else:
                assert picture.mode == "RGB"


def test_some_animals_have_no_inflammation(study: Path) -> None:
    masks = [np.asarray(PillowImage.open(p)) for p in (study / "train" / "SevereInflammation_0.2").iterdir()]
    empty = [not mask.any() for mask in masks]
    assert any(empty)
    assert not all(empty)


@pytest.mark.parametrize("seed", range(3))
def test_masks_agree_with_the_colours(seed: int) -> None:
    animal = draw_animal(generator(seed, 0), 1, severity=1.0)
    section = draw_section(generator(seed, 1), animal, SHAPE)
    image = section.image.astype(float)
    healthy = section.parenchyma & ~section.inflammation
    assert 0.3 < section.parenchyma.mean() < 0.95
    assert 0.02 < section.inflammation.mean() < 0.7
    assert image[section.inflammation].mean() < image[healthy].mean() - 25
    assert image[..., 1][healthy].std() > 20, "airspaces and walls differ"
    pink = image[..., 0] - image[..., 1]
    assert pink[healthy].mean() > pink[~section.parenchyma].mean() + 10


def test_severe_inflammation_lies_in_the_parenchyma() -> None:
    section = draw_section(generator(1), draw_animal(generator(2), 1, severity=0.8), SHAPE)
    assert not (section.inflammation & ~section.parenchyma).any()


def test_airways_and_vessels_are_holes() -> None:
    section = draw_section(generator(4), draw_animal(generator(5), 1, severity=0.0), SHAPE)
    filled = ndimage.binary_fill_holes(section.parenchyma)
    _, count = ndimage.label(filled & ~section.parenchyma)
    assert count >= 4
    assert not section.inflammation.any()


def test_stains_differ_between_animals() -> None:
    animals = [draw_animal(generator(seed), seed, 0.5) for seed in range(6)]
    assert np.std([animal.stain[0] for animal in animals]) > 0.05
