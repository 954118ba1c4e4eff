"""Tiles cover everything, stay inside, overlap as asked and blend without a seam."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import ImageError
from hilum.image.tiles import blend_window, even_starts, tile_slices, tile_starts


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 3000), tile=st.integers(1, 700), share=st.floats(0, 0.99))
def test_cover_bounds_and_overlap(size, tile, share):
    overlap = int(share * tile) if int(share * tile) < tile else tile - 1
    starts = tile_starts(size, tile, overlap)
    assert starts[0] == 0
    assert all(isinstance(start, int) for start in starts)
    if size <= tile:
        assert starts == (0,)
        return
    assert starts[-1] == size - tile
    steps = np.diff(starts)
    assert steps.min() > 0
    assert steps.max() <= tile - overlap
    assert steps.max() - steps.min() <= 1
    assert (len(starts) - 2) * (tile - overlap) + tile < size, "fewer tiles would have done"


def test_explicit_counts():
    assert even_starts(1040, 512, 2) == (0, 528)
    assert even_starts(1392, 512, 3) == (0, 440, 880)
    assert even_starts(1040, 512, 3) == (0, 264, 528)
    assert even_starts(1392, 512, 4) == (0, 293, 587, 880)
    assert even_starts(100, 512, 3) == (0,)
    assert even_starts(100, 50, 1) == (25,)


@pytest.mark.parametrize(("tile", "overlap"), [(10, 10), (10, -1), (0, 0)])
def test_impossible(tile, overlap):
    with pytest.raises(ImageError):
        tile_starts(100, tile, overlap)
    with pytest.raises(ImageError):
        even_starts(0, 10, 1)


@pytest.mark.parametrize(
    ("shape", "tile", "overlap"),
    [((50, 70), (16, 32), (4, 8)), ((9, 20, 33), (4, 16, 16), (1, 8, 0)), ((5, 5), (8, 8), (2, 2))],
)
def test_blending_tiles_of_an_image_gives_it_back(shape, tile, overlap):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for part in tile_slices(shape, tile, overlap):
        window = blend_window(image[part].shape)
        total[part] += image[part] * window
        weight[part] += window
    assert weight.min() > 0
    assert np.allclose(total / weight, image, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_window_is_positive_symmetric_and_smooth(shape):
    window = blend_window(shape)
    assert window.dtype == np.float32
    assert window.shape == tuple(shape)
    assert 0 < window.min() <= window.max() <= 1
    assert np.allclose(window, window[tuple(slice(None, None, -1) for _ in shape)], atol=1e-6)


def test_half_overlapping_windows_add_up_to_one():
    window = blend_window((64,))
    assert np.allclose(window[:32] + window[32:], 1, atol=3e-3)


def test_empty_window():
    with pytest.raises(ImageError):
        blend_window((4, 0))
