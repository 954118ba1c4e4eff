"""Chest X-rays: class folders, patients apart, opacities where they should be, the shortcut on request."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from hilum.phantoms.drawing import generator
from hilum.phantoms.make import make_phantom
from hilum.phantoms.xray import draw_patient, draw_xray

SHAPE = (128, 160)


def patient(path: Path) -> str:
    return re.sub(r"^(IM-\d+|person\d+).*", r"\1", path.name)


def sizes(folder: Path) -> list[int]:
    return [np.asarray(PillowImage.open(path)).size for path in folder.glob("*/*")]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phantom("xray", tmp_path_factory.mktemp("phantom") / "study", 24, size=SHAPE)


def test_layout(study: Path) -> None:
    counts = {
        f"{split}/{label}": len(list((study / split / label).iterdir()))
        for split in ("train", "test")
        for label in ("NORMAL", "PNEUMONIA")
    }
    assert counts["train/NORMAL"] + counts["train/PNEUMONIA"] == 24
    assert counts["test/NORMAL"] + counts["test/PNEUMONIA"] == 8
    assert all(counts.values())
    assert counts["train/PNEUMONIA"] > counts["train/NORMAL"]


def test_no_patient_is_in_both_splits_and_some_have_two_images(study: Path) -> None:
    train = [patient(path) for path in (study / "train").glob("*/*")]
    test = {patient(path) for path in (study / "test").glob("*/*")}
    assert not set(train) & test
    assert len(set(train)) < len(train)


def test_names_are_those_of_the_paediatric_set(study: Path) -> None:
    for path in study.glob("*/NORMAL/*"):
        assert re.fullmatch(r"IM-\d{4}-\d{4}\.jpeg", path.name)
    for path in study.glob("*/PNEUMONIA/*"):
        assert re.fullmatch(r"person\d+_(bacteria|virus)_\d+\.jpeg", path.name)


def test_size_tells_nothing_unless_asked(study: Path, tmp_path: Path) -> None:
    def gap(root: Path) -> float:
        means = [
            np.mean([np.asarray(PillowImage.open(path)).size for path in root.glob(f"*/{label}/*")])
            for label in ("NORMAL", "PNEUMONIA")
        ]
        return float(means[0] / means[1])

    trap = make_phantom("xray", tmp_path / "trap", 12, size=SHAPE, shortcut=True)
    assert 0.8 < gap(study) < 1.25
    assert gap(trap) > 1.5


@pytest.mark.parametrize("seed", range(4))
def test_pneumonia_makes_the_lungs_of_the_same_patient_brighter(seed: int) -> None:
    build = draw_patient(generator(seed))
    lungs = slice(50, 78)
    normal = np.mean([draw_xray(generator(seed, i), build, False, SHAPE)[lungs] for i in range(3)])
    sick = np.mean([draw_xray(generator(seed, i), build, True, SHAPE)[lungs] for i in range(3)])
    assert sick > normal + 2


def test_lungs_are_dark_and_the_heart_is_bright() -> None:
    film = draw_xray(generator(3), draw_patient(generator(3)), False, SHAPE).astype(float)
    height, width = SHAPE
    row = film[round(0.42 * height) : round(0.5 * height)].mean(axis=0)
    middle, left = row[width // 2 - 4 : width // 2 + 4].mean(), row[round(0.33 * width)]
    assert middle > left + 40


def test_marker_can_be_put_on_either_side() -> None:
    build = draw_patient(generator(1))
    right = draw_xray(generator(2), build, False, SHAPE, "R").astype(int)
    left = draw_xray(generator(2), build, False, SHAPE, "L").astype(int)
    changed = np.abs(right - left) > 30
    half = SHAPE[1] // 2
    assert changed[:, :half].any()
    assert changed[:, half:].any()
    assert changed.mean() < 0.03
