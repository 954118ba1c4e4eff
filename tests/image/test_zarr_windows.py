"""OME-Zarr read by windows: chunks that were cut short are told."""

import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.image.pyramid import open_pyramid
from hilum.image.pyramid_writer import start_writer
from hilum.image.spacing import Spacing

pytest.importorskip("zarr")
PIXELS = np.random.default_rng(0).integers(0, 255, (70, 90), dtype=np.uint8)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.zarr"
    with start_writer(path, PIXELS.shape, Spacing((0.5, 0.5), "um"), "zarr") as writer:
        writer.push(PIXELS)
    return path


def chunks(image):
    return [path for path in (image / "0").rglob("*") if path.is_file() and not path.name.startswith(".z")]


def test_windows_hold_the_pixels(image):
    with open_pyramid(image) as pyramid:
        assert (pyramid.read_window(10, 20, 30, 40)[0] == PIXELS[10:40, 20:60]).all()
        assert pyramid.spacing == Spacing((0.5, 0.5), "um")


@pytest.mark.parametrize("left", [0, 8, 16, 3000, -1])
def test_a_chunk_that_was_cut_short_is_told(image, left):
    (chunk,) = chunks(image)
    content = chunk.read_bytes()
    chunk.write_bytes(content[:left])
    with open_pyramid(image) as pyramid, pytest.raises(ImageError):
        pyramid.read_window(0, 0, 70, 90)


def test_a_chunk_that_is_not_there_holds_the_fill_value(image):
    (chunk,) = chunks(image)
    chunk.unlink()
    with open_pyramid(image) as pyramid:
        assert not pyramid.read_window(0, 0, 70, 90).any()
