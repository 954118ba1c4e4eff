"""Channels, colour spaces and orientation, against Pillow."""

import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.image.channels import cmyk_to_rgb, drop_alpha, orient, turned, ycbcr_to_rgb
from hilum.image.spacing import Spacing

rng = np.random.default_rng(6)


def test_cmyk_is_as_pillow_has_it():
    array = rng.integers(0, 256, (4, 40, 40), dtype=np.uint8)
    reference = np.asarray(Pillow.fromarray(np.moveaxis(array, 0, -1).copy(), "CMYK").convert("RGB"))
    assert np.abs(np.moveaxis(cmyk_to_rgb(array), 0, -1).astype(int) - reference).max() <= 1
    deep = cmyk_to_rgb(array.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - np.moveaxis(reference, -1, 0)).max() <= 1


def test_ycbcr_is_as_pillow_has_it():
    array = rng.integers(0, 256, (3, 40, 40), dtype=np.uint8)
    reference = np.asarray(Pillow.fromarray(np.moveaxis(array, 0, -1).copy(), "YCbCr").convert("RGB"))
    assert np.abs(np.moveaxis(ycbcr_to_rgb(array), 0, -1).astype(int) - reference).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_volumes_are_turned_plane_by_plane(orientation):
    volume = rng.integers(0, 256, (2, 3, 4, 5))
    result = orient(volume, orientation)
    assert np.array_equal(result[1, 2], orient(volume[1, 2], orientation))
    assert turned(Spacing((3, 2, 1), "mm"), orientation).sizes == (
        (3, 2, 1) if orientation <= 4 else (3, 1, 2)
    )


def test_opaque_alpha_of_a_flat_picture_is_left_out():
    array = np.full((4, 5, 5), 255, np.uint8)
    assert drop_alpha(array)[0].shape == (3, 5, 5)


def test_the_alpha_of_a_flat_picture_is_read_where_something_or_nothing_is_drawn_in_it():
    array = np.full((4, 5, 5), 255, np.uint8)
    for drawn in (np.eye(5, dtype=np.uint8), np.zeros((5, 5), np.uint8)):
        array[3] = drawn
        assert np.array_equal(drop_alpha(array)[0], drawn[None])
