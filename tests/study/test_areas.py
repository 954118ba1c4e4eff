import numpy as np
import pytest
from PIL import Image

from hilum.study.inspection import inspect
from hilum.study.open import open_study

SHAPE = (64, 80)


@pytest.fixture
def study(tmp_path, picture, save, disc):
    """Makes a study of masks of 0 and 1, of which some cases hold a further value."""

    def make(number, odd=(), value=7, radius=12):
        for seed in range(number):
            mask = disc(SHAPE, (20 + seed, 40), radius).astype(np.uint8)
            if seed in odd:
                mask[60:62, 2:5] = value
            save(tmp_path / "images" / f"c{seed}.png", picture(seed))
            save(tmp_path / "masks" / f"c{seed}.png", mask)
        return tmp_path

    return make


def warnings(folder):
    found = [finding for finding in open_study(folder).findings if finding.severity == "warning"]
    return [finding for finding in found if "occurs in" in finding.message or "covers" in finding.message]


def test_a_value_of_one_mask_is_warned_of_with_its_case(study):
    (finding,) = warnings(study(10, odd=(3,)))
    assert finding.cases == ("c3",)
    assert "index-7: value 7 occurs in 1 of 10 cases only" in finding.message
    assert "c3 (6 pixels in c3.png)" in finding.message
    assert "labels.json" in finding.message


@pytest.mark.parametrize(("number", "odd"), [(10, (1, 2, 3)), (7, (1,))])
def test_values_of_several_masks_and_of_small_studies_are_none(study, number, odd):
    assert warnings(study(number, odd)) == []


def test_a_value_with_a_name_is_meant(study):
    folder = study(10, odd=(3,))
    (folder / "labels.json").write_text('{"nerve": 1, "cyst": 7}')
    assert warnings(folder) == []


def test_a_colour_of_one_mask_is_warned_of(tmp_path, picture, save, disc):
    for seed in range(9):
        mask = np.zeros((*SHAPE, 3), np.uint8)
        mask[disc(SHAPE, (20, 40), 12)] = (255, 0, 0)
        mask[50:60, 2:30] = (0, 255, 0) if seed == 4 else (0, 0, 255)
        save(tmp_path / "images" / f"c{seed}.png", picture(seed))
        save(tmp_path / "masks" / f"c{seed}.png", mask)
    (finding,) = warnings(tmp_path)
    assert finding.cases == ("c4",)
    assert "colour (0, 255, 0) occurs in 1 of 9 cases" in finding.message


def test_masks_turned_inside_out_are_warned_of(tmp_path, picture, save, disc):
    for seed in range(3):
        save(tmp_path / "images" / f"{seed}.png", picture(seed))
        save(tmp_path / "masks" / f"{seed}.png", (~disc(SHAPE, (30, 40), 8)).astype(np.uint8) * 255)
    (finding,) = warnings(tmp_path)
    assert "target covers more than 90% of every mask" in finding.message
    assert "invert" in finding.message
    save(tmp_path / "masks" / "0.png", disc(SHAPE, (30, 40), 8).astype(np.uint8) * 255)
    assert warnings(tmp_path) == []


def turned_study(root, picture, save, disc, orientation, shape, tagged=False):
    tag = Image.Exif()
    tag[0x0112] = orientation
    for seed in range(3):
        save(root / "images" / f"c{seed}.jpg", picture(seed, shape), exif=tag)
        mask = disc(shape, (20, 20), 9).astype(np.uint8) * np.uint8(255)
        save(root / "masks" / f"c{seed}.png", mask, **({"exif": tag} if tagged else {}))
    return root


@pytest.mark.parametrize(("orientation", "shape"), [(3, (64, 80)), (6, (64, 64))])
@pytest.mark.parametrize("tagged", [True, False])
def test_an_image_turned_by_its_tag_with_a_mask_without_one(
    tmp_path, picture, save, disc, orientation, shape, tagged
):
    root = turned_study(tmp_path, picture, save, disc, orientation, shape, tagged)
    found = [finding.message for finding in inspect(root).study.findings if finding.severity == "warning"]
    assert any("with a mask that has no such tag: c0, c1, c2" in message for message in found) != tagged


def test_a_mask_of_the_stored_size_says_that_its_image_was_turned(tmp_path, picture, save, disc):
    root = turned_study(tmp_path, picture, save, disc, 6, (64, 80))
    found = [finding.message for finding in inspect(root).study.findings if finding.severity == "error"]
    assert "the image was turned as its orientation tag says, the mask has no such tag" in found[0]
