import numpy as np
import pytest

from hilum.ct.hounsfield import WINDOWS, clean_array, doubts, windowed
from hilum.image.image import Image


@pytest.mark.parametrize("padding", [-2000, -2048, -3024])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_padding_becomes_air_and_the_range_is_kept(padding, dtype):
    array = np.array([padding, -1024, -1030, 0, 3071, 9000], dtype).reshape(1, 1, 2, 3)
    cleaned = clean_array(array)
    assert cleaned.ravel().tolist() == [-1000, -1024, -1024, 0, 3071, 3071]
    assert cleaned.dtype == dtype
    assert array.min() == padding


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int8])
def test_types_that_cannot_hold_air_are_clipped_where_they_can(dtype):
    array = np.array([0, 40, 127, min(np.iinfo(dtype).max, 60000)], dtype).reshape(1, 1, 4)
    cleaned = clean_array(array)
    assert cleaned.dtype == dtype
    assert cleaned.ravel().tolist() == [0, 40, 127, min(np.iinfo(dtype).max, 3071)]


def test_own_limits():
    array = np.array([-2000, -900, 700], np.int16).reshape(1, 1, 3)
    assert clean_array(array, low=-500, high=400).ravel().tolist() == [-500, -500, 400]


def test_windows():
    for limits in WINDOWS.values():
        scaled = windowed(
            np.array([limits[0] - 9, limits[0], np.mean(limits), limits[1], limits[1] + 9]), limits
        )
        np.testing.assert_allclose(scaled, [0, 0, 0.5, 1, 1], atol=1e-6)


def test_values_that_are_no_hounsfield_units_are_doubted():
    assert "slope" in doubts(Image(np.full((1, 2, 2), 900, np.uint16)))[0]
    assert "nothing reads like air" in doubts(Image(np.array([[[-100, 40, 50]]], np.int16)))[0]
    assert doubts(Image(np.array([[[-1000, -850, 40]]], np.int16))) == ()
