import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.image import pyramid as pyramids
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.image.writers import write_image
from hilum.studio import pictures, slides
from hilum.studio.api import describe
from hilum.studio.cutting import cut_field
from hilum.studio.journal import Stroke
from hilum.studio.slides import Slides, _part
from hilum.studio.spans import spans_of
from hilum.studio.thumbnails import thumbnail_of
from hilum.studio.view import look
from hilum.study.masks import read_masks
from hilum.study.open import open_study


@pytest.fixture
def slide(tmp_path, monkeypatch):
    """A study of one image that counts as huge, and its pixels."""
    array = np.random.default_rng(0).integers(0, 255, (3, 1300, 1700), dtype=np.uint8)
    write_image(tmp_path / "s/images/a.tif", Image(array, Spacing((0.5, 0.5), "um")))
    monkeypatch.setattr(pyramids, "WHOLE_PIXELS", 1_000_000)
    monkeypatch.setattr(slides, "PAINTED_PIXELS", 1_000_000)
    return tmp_path / "s", array


def test_tiles_of_a_slide_are_those_of_the_whole_image(slide):
    folder, array = slide
    case = look(folder).cases[0]
    tiles = Slides()
    assert tiles.is_slide(case)
    with pyramids.open_pyramid(case.image.path) as pyramid:
        for level, row, column in ((0, 0, 0), (0, 2, 3), (1, 1, 1), (2, 0, 0)):
            wanted = pictures.tile(array, level, row, column, None)
            found = pictures.shown(_part(pyramid, level, row, column), None)
            assert found.shape == wanted.shape
            inside = (slice(0, -1), slice(0, -1))
            assert np.abs(found[inside].astype(int) - wanted[inside]).max() <= 2
    for level, row, column in ((0, 3, 0), (7, 0, 0), (-1, 0, 0)):
        with pytest.raises(HilumError, match="tile"):
            tiles.tile(case, level, row, column, None)


def test_a_slide_is_shown_and_not_painted(slide, desk_of):
    folder, _ = slide
    desk = desk_of(folder)
    name = desk.view.cases[0].name
    found = describe(desk, name)
    assert found["shape"] == [1300, 1700]
    assert found["spacing"] == [0.5, 0.5]
    assert not found["paintable"]
    assert thumbnail_of(desk, name, True)[:3] == b"\xff\xd8\xff"


def test_a_field_is_cut_painted_and_stays_in_the_group_of_its_slide(slide, desk_of):
    folder, array = slide
    desk = desk_of(folder)
    first = cut_field(desk, "a", 100, 200, 512)
    second = cut_field(desk, "a", 9000, 9000, 256)
    assert (desk.images.get(first).array == array[:, 100:612, 200:712]).all()
    assert desk.images.get(first).spacing.sizes == (0.5, 0.5)
    assert (desk.images.get(second).array == array[:, 1044:, 1444:]).all(), "moved inside"
    desk.targets.append("Nerve")
    mask = np.zeros((512, 512), bool)
    mask[5:50, 9:90] = True
    desk.easel.stroke(first, "Nerve", Stroke(spans_of(mask), key="1"), 0)
    desk.easel.begin(second, "Nerve")
    desk.easel.save_all()
    study = open_study(folder)
    assert {case.name: case.group for case in study.cases} == {first: "a", second: "a"}
    masks, _ = read_masks(next(case for case in study.cases if case.name == first), ["Nerve"], (512, 512))
    assert (masks[0] == mask).all()
    names = [case.name for case in desk.view.cases]
    assert "a" in names, "the slide is still there to be looked at"
    told = describe(desk, "a")["fields"]
    assert {(one["y"], one["x"], one["width"]) for one in told} == {(100, 200, 512), (1044, 1444, 256)}


def test_fields_are_not_cut_twice_too_large_or_of_small_images(slide, desk_of, write):
    folder, _ = slide
    desk = desk_of(folder)
    name = cut_field(desk, "a", 0, 0, 256)
    for case, side, words in (("a", 256, "cut already"), ("a", 4096, "from 128"), (name, 256, "whole")):
        with pytest.raises(HilumError, match=words):
            cut_field(desk, case, 0, 0, side)
