import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.image import pyramid as pyramids
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.image.writers import write_image
from hilum.studio import pictures, slides
from hilum.studio.api import describe, thumbnail_of
from hilum.studio.slides import Slides, _part
from hilum.studio.view import look


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
