"""Ultrasound: the challenge's layout, a nerve in every second frame, truth that fits the picture."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from hilum.image.runlength import decode
from hilum.phantoms.drawing import generator
from hilum.phantoms.make import make_phantom
from hilum.phantoms.ultrasound import draw_frame, draw_neck

SHAPE = (140, 194)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "study"
    return make_phantom("ultrasound", out, 12, size=SHAPE, contradictions=3)


def masks(study: Path) -> dict[str, np.ndarray]:
    return {
        path.name.removesuffix("_mask.tif"): tifffile.imread(path)
        for path in (study / "train").glob("*_mask.tif")
    }


def test_layout_is_that_of_the_challenge(study: Path) -> None:
    images = {path.stem for path in (study / "train").iterdir() if not path.stem.endswith("_mask")}
    assert images == {f"{subject}_{frame}" for subject in (1, 2) for frame in range(1, 7)}
    assert images == set(masks(study))
    assert sorted(path.name for path in (study / "test").iterdir()) == ["1.tif", "2.tif", "3.tif", "4.tif"]
    picture = tifffile.imread(study / "train" / "1_1.tif")
    assert picture.shape == SHAPE
    assert picture.dtype == np.uint8


def test_half_of_the_frames_have_no_nerve(study: Path) -> None:
    found = [mask.any() for mask in masks(study).values()]
    assert sum(found) == 6
    assert all(set(np.unique(mask)) <= {0, 255} for mask in masks(study).values())


def test_solution_decodes_to_masks_of_half_of_the_test(study: Path) -> None:
    with (study / "solution.csv").open(newline="") as handle:
        table = list(csv.DictReader(handle))
    assert [row["img"] for row in table] == ["1", "2", "3", "4"]
    shares = [decode(row["pixels"], SHAPE).mean() for row in table]
    assert sum(share > 0 for share in shares) == 2
    assert all(share == 0 or 0.01 < share < 0.1 for share in shares)


def test_contradictions_are_near_identical_frames_with_other_masks(study: Path) -> None:
    truth = masks(study)
    pairs = [(f"{s}_{f}", f"{s}_{f + 1}") for s in (1, 2) for f in (1, 3, 5)]
    near = []
    for one, two in pairs:
        first, second = (
            tifffile.imread(study / "train" / f"{name}.tif").astype(float) for name in (one, two)
        )
        if np.abs(first - second).mean() < 4:
            near.append((one, two))
            assert truth[one].any()
            assert not truth[two].any()
    assert len(near) == 2


def test_no_contradictions_unless_asked(tmp_path: Path) -> None:
    out = make_phantom("ultrasound", tmp_path / "study", 6, size=SHAPE)
    frames = [tifffile.imread(out / "train" / f"1_{number}.tif").astype(float) for number in range(1, 7)]
    gaps = [np.abs(a - b).mean() for a, b in pairwise(frames)]
    assert min(gaps) > 8


@pytest.mark.parametrize("seed", range(5))
def test_the_nerve_is_dark_in_a_bright_rim(seed: int) -> None:
    frame = draw_frame(generator(seed), draw_neck((seed, 1)), True, SHAPE)
    inner = ndimage.binary_erosion(frame.nerve, iterations=4)
    rim = ndimage.binary_dilation(frame.nerve, iterations=1) & ~ndimage.binary_erosion(
        frame.nerve, iterations=1
    )
    assert 0.01 < frame.nerve.mean() < 0.1
    assert frame.image[rim].mean() > 1.4 * frame.image[inner].mean()


def test_frames_of_a_subject_are_alike_and_subjects_are_not() -> None:
    one, other = draw_neck((0, 1)), draw_neck((0, 2))
    smooth = [
        ndimage.gaussian_filter(draw_frame(generator(i), neck, False, SHAPE).image.astype(float), 5)
        for i, neck in enumerate((one, one, other))
    ]
    same = np.corrcoef(smooth[0].ravel(), smooth[1].ravel())[0, 1]
    different = np.corrcoef(smooth[0].ravel(), smooth[2].ravel())[0, 1]
    assert same > different
