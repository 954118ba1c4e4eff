"""Masks are written in the coding of their study, and what was there before is kept."""

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.studio.journal import Stroke
from hilum.studio.spans import spans_of
from hilum.study.masks import read_masks
from hilum.study.open import open_study

SIZE = (40, 56)
RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def painted(desk, name, target, mask):
    """Change pixels of a mask in one stroke and save it."""
    key = str(mask.sum())
    desk.easel.stroke(name, target, Stroke(spans_of(mask), key=key), desk.easel.open(name, target).version)
    return desk.easel.save(name, target)


@pytest.fixture
def coloured(tmp_path, write):
    """Makes a study of images a to d whose masks, none of d, hold a red and a blue square.

    Their sides lie between blocks of a JPEG, which so makes no further colours.
    """

    def make(ground, suffix=".png"):
        folder = write(tmp_path / "s", {f"images/{name}.png": k for k, name in enumerate("abcd")})
        (folder / "masks").mkdir()
        array = np.full((*SIZE, 3), ground, np.uint8)
        array[:16, :16] = RED
        array[16:32, 32:48] = BLUE
        for name in "abc":
            Pillow.fromarray(array).save(folder / f"masks/{name}{suffix}", quality=95, subsampling=0)
        return folder

    return make


def read(folder, name):
    study = open_study(folder)
    case = next(case for case in study.cases if case.name == name)
    return dict(zip(study.targets, read_masks(case, study.targets, SIZE)[0], strict=True))


@pytest.mark.parametrize("ground", [BLACK, WHITE])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_without_a_mask_gets_one_in_the_colours_of_its_study(
    coloured, desk_of, disc, ground, suffix
):
    folder, new = coloured(ground, suffix), disc(SIZE, (20, 20), 5)
    path = painted(desk_of(folder), "d", "red", new)
    found = read(folder, "d")
    assert set(found) == {"red", "blue"}
    assert (found["red"] == new).all()
    assert not found["blue"].any()
    assert np.abs(np.asarray(Pillow.open(path))[0, 0].astype(int) - ground).max() < 9
    assert path.name == "d.png"


@pytest.mark.parametrize("ground", [BLACK, WHITE])
def test_erased_pixels_become_background(coloured, desk_of, ground):
    folder = coloured(ground)
    desk = desk_of(folder)
    painted(desk, "a", "red", desk.easel.open("a", "red").mask.copy())
    assert np.asarray(Pillow.open(folder / "masks/a.png"))[12, 12].tolist() == list(ground)
    found = read(folder, "a")
    assert set(found) == {"red", "blue"}
    assert not found["red"].any()


def test_the_background_is_that_of_other_files_where_a_file_holds_none(coloured, desk_of):
    folder = coloured(WHITE)
    Pillow.fromarray(np.full((*SIZE, 3), RED, np.uint8)).save(folder / "masks/a.png")
    desk = desk_of(folder)
    painted(desk, "a", "red", desk.easel.open("a", "red").mask.copy())
    assert (np.asarray(Pillow.open(folder / "masks/a.png")) == 255).all()


def test_a_colour_jpeg_is_painted_on_as_a_png_and_its_other_targets_stay(coloured, desk_of, disc):
    folder, new = coloured(BLACK, ".jpg"), disc(SIZE, (20, 20), 5)
    before = read(folder, "a")
    assert painted(desk_of(folder), "a", "red", new & ~before["red"]) == folder / "masks/a.png"
    found = read(folder, "a")
    assert (found["red"] == new | before["red"]).all()
    assert (found["blue"] == before["blue"]).all()
    assert (folder / ".studio/originals/masks/a.jpg").is_file()
    assert not (folder / "masks/a.jpg").exists()


def test_a_bmp_of_several_targets_keeps_the_others(tmp_path, write, desk_of, disc):
    folder = write(tmp_path / "s", {"images/a.png": 0, "images/b.png": 1})
    (folder / "masks").mkdir()
    array = disc(SIZE, (12, 12), 6).astype(np.uint8) + 2 * disc(SIZE, (28, 40), 7).astype(np.uint8)
    for name in "ab":
        Pillow.fromarray(array).save(folder / f"masks/{name}.bmp")
    desk = desk_of(folder)
    one = desk.view.study.targets[0]
    path = painted(desk, "a", one, disc(SIZE, (34, 8), 3))
    found = np.asarray(Pillow.open(path))
    assert found[34, 8] == 1
    assert found[12, 12] == 1
    assert (found == 2).sum() == (array == 2).sum()


def test_a_file_that_the_table_does_not_list_is_kept_before_it_is_replaced(tmp_path, write, desk_of, disc):
    mask = disc(SIZE, (20, 20), 10)
    files = {"images/a.png": 0, "images/b.png": 1, "masks/Nerve/a.png": mask, "masks/Nerve/b.png": mask}
    folder = write(tmp_path / "s", files)
    (folder / "study.csv").write_text("image,Nerve\nimages/a.png,masks/Nerve/a.png\nimages/b.png,\n")
    before = (folder / "masks/Nerve/b.png").read_bytes()
    painted(desk_of(folder), "b", "Nerve", disc(SIZE, (30, 40), 4))
    assert (folder / ".studio/originals/masks/Nerve/b.png").read_bytes() == before
