"""What people see: stretching, colours, outlines."""

import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.image.colours import TARGET_COLOURS, outline, target_colour, to_display
from hilum.image.image import Image

rng = np.random.default_rng(4)


def test_rgb_stays_as_it_is():
    array = rng.integers(0, 255, (3, 20, 30), dtype=np.uint8)
    assert np.array_equal(to_display(Image(array)), np.moveaxis(array, 0, -1))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.int64])
def test_grey_is_stretched(kind):
    shown = to_display(Image(np.arange(100).reshape(1, 10, 10).astype(kind)))
    assert shown.shape == (10, 10, 3)
    assert shown.dtype == np.uint8
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.all(np.diff(shown[..., 0].ravel().astype(int)) >= 0)


def test_window():
    shown = to_display(Image(np.array([[[-2000, -1000, -400, 200, 3000]]], np.int16)), window=(-1000, 200))
    assert shown[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_outliers_do_not_darken():
    array = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (1, 100, 1))
    array[0, 0, 0] = 1e6
    assert 100 < to_display(Image(array))[50, 50, 0] < 155


@pytest.mark.parametrize("value", [0, 7, np.nan, np.inf])
def test_constant_and_bad_numbers(value):
    shown = to_display(Image(np.full((1, 4, 5), value, np.float32)))
    assert shown.shape == (4, 5, 3)
    assert shown.min() == shown.max()


def test_nan_is_black():
    array = np.linspace(0, 1, 100, dtype=np.float32).reshape(1, 10, 10)
    array[0, 5, 5] = np.nan
    assert to_display(Image(array))[5, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_channels(channels):
    array = rng.integers(0, 60_000, (channels, 6, 7), dtype=np.uint16)
    assert to_display(Image(array)).shape == (6, 7, 3)


def test_colours_of_deep_rgb_keep_their_balance():
    array = np.zeros((3, 10, 10), np.uint16)
    array[0, :5], array[1, :5] = 60_000, 30_000
    assert to_display(Image(array))[0, 0].tolist() == [255, 128, 0]


def test_volume_shows_its_middle_or_the_plane_asked_for():
    array = np.zeros((3, 5, 4, 4), np.uint8)
    array[:, 2], array[:, 4] = 20, 40
    assert to_display(Image(array)).max() == 20
    assert to_display(Image(array), index=4).max() == 40
    with pytest.raises(ImageError, match="planes 0 to 4"):
        to_display(Image(array), index=5)


def test_palette_is_shown_in_its_colours():
    palette = np.array([[1, 2, 3], [200, 100, 50]], np.uint8)
    shown = to_display(Image(np.array([[[0, 1]]], np.uint8), palette=palette))
    assert shown.tolist() == [[[1, 2, 3], [200, 100, 50]]]


def test_target_colours_differ():
    assert len({colour.rgb for colour in TARGET_COLOURS}) == len(TARGET_COLOURS) >= 6
    assert target_colour(0) == target_colour(len(TARGET_COLOURS))
    assert TARGET_COLOURS[0].rgb == (0, 114, 178)


@pytest.mark.parametrize("width", [1, 3])
def test_outline(disc, width):
    mask = disc(radius=20)
    rim = outline(mask, width)
    inner = disc(radius=20 - 2 * width)
    assert rim.any()
    assert not (rim & ~mask).any()
    assert not (rim & inner).any()


def test_outline_of_nothing_and_nonsense():
    assert not outline(np.zeros((5, 5), bool)).any()
    with pytest.raises(ImageError):
        outline(np.zeros((5, 5), bool), 0)
    with pytest.raises(ImageError):
        outline(np.zeros((2, 5, 5), bool))
