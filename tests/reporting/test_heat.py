import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.reporting.heat import heat_overlay, mosaic, signed_overlay


def pink(shape=(200, 300)):
    return np.full((*shape, 3), (230, 180, 210), np.uint8)


def test_without_heat_the_grey_image_is_bare():
    found = heat_overlay(pink(), np.zeros((200, 300)), "Grad-CAM: Liver")[:200, :300]
    assert (found == round(0.299 * 230 + 0.587 * 180 + 0.114 * 210)).all()


def test_heat_is_seen_where_it_is_and_the_bar_lies_below():
    heat = np.zeros((20, 30))
    heat[:5, :5] = 1
    found = heat_overlay(pink(), heat, "Grad-CAM")
    assert found.shape[1] == 300
    assert found.shape[0] > 210
    hot, cold = found[10, 10].astype(int), found[150, 250].astype(int)
    assert hot.max() - hot.min() > 60
    assert cold.max() == cold.min()
    assert (found[200:] != 255).any()


def test_rise_and_fall_have_opposite_colours():
    values = np.zeros((200, 300))
    values[:100], values[100:] = 0.4, -0.4
    found = signed_overlay(pink(), values).astype(int)
    assert found[50, 150, 0] > found[50, 150, 2] + 50
    assert found[150, 150, 2] > found[150, 150, 0] + 50


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (30, 300), (600, 40)])
def test_any_size_goes(shape):
    for draw in (heat_overlay, signed_overlay):
        found = draw(pink(shape), np.ones((3, 4)), "A rather long name of a target")
        assert (found[: shape[0], : shape[1]] != 255).any()
        assert found.dtype == np.uint8


def test_each_channel_is_scaled_by_itself():
    ramp = np.linspace(0, 1, 100).reshape(10, 10)
    weak_and_strong = np.stack([ramp, 1000 * ramp])
    found = mosaic(weak_and_strong, ["0", "1"], width=400)
    cell = 400 // 2 - 4
    first, second = found[6:150, 4 : 4 + cell], found[6:150, 8 + cell : 8 + 2 * cell]
    assert np.array_equal(first, second)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize(("count", "shape"), [(1, (5, 7)), (3, (1, 1)), (64, (13, 18)), (16, (400, 100))])
def test_mosaics_of_any_number(count, shape):
    maps = np.random.default_rng(0).normal(size=(count, *shape))
    found = mosaic(maps, [str(place) for place in range(count)], "conv", width=600)
    assert found.shape[1] in range(600, 760)


def test_constant_and_dead_channels_are_dark():
    found = mosaic(np.zeros((1, 8, 8)), ["0"], width=100)
    assert tuple(found[50, 50]) == (68, 1, 84)


def test_wrong_shapes_are_refused():
    with pytest.raises(ImageError, match=r"must be \(Y, X\)"):
        heat_overlay(pink(), np.zeros((2, 3, 4)))
    with pytest.raises(ImageError, match="uint8"):
        heat_overlay(pink().astype(np.float32), np.zeros((2, 3)))
