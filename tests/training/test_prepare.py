from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.errors import ImageError
from hilum.image.image import Image
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.planning.plan import DataPlan
from hilum.training.prepare import match_channels, prepare_image, prepare_mask, resize, working_shape


def image(array):
    return Image(np.asarray(array), path=Path("some.png"))


def test_an_image_by_the_scale_of_the_study():
    data = DataPlan(channels=2, normalise="study", mean=[10.0, 0.0], std=[2.0, 4.0])
    found = prepare_image(image(np.stack([np.full((4, 4), 14), np.full((4, 4), 8)]).astype(np.uint8)), data)
    assert found.dtype == torch.float32
    assert found[:, 0, 0].tolist() == [2.0, 2.0]


def test_an_image_by_its_own_scale():
    array = np.random.default_rng(0).normal(500, 70, (1, 32, 32)).astype(np.float32)
    found = prepare_image(image(array), DataPlan(channels=1, normalise="image"))
    assert found.mean().item() == pytest.approx(0, abs=1e-4)
    assert found.std().item() == pytest.approx(1, abs=1e-2)
    flat = prepare_image(image(np.full((1, 8, 8), 7, np.uint8)), DataPlan(channels=1, normalise="image"))
    assert (flat == 0).all()


def test_an_image_by_a_window():
    data = DataPlan(channels=1, normalise="window", window=[-1000, 400])
    found = prepare_image(image(np.array([[[-2000, -1000], [-300, 3000]]], np.int16)), data)
    assert found[0].tolist() == [[0.0, 0.0], [0.5, 1.0]]


def test_sixteen_bits_keep_their_steps():
    array = np.array([[[1000, 1001], [1002, 65535]]], np.uint16)
    found = prepare_image(image(array), DataPlan(channels=1, mean=[0.0], std=[1.0]))
    assert found[0].tolist() == [[1000, 1001], [1002, 65535]]


def test_an_image_already_without_channels_to_match_is_told_so():
    with pytest.raises(ImageError, match=r"some\.png: has 2 channels, the plan wants 3"):
        prepare_image(image(np.zeros((2, 4, 4), np.uint8)), DataPlan(channels=3))


def test_grey_becomes_colour_and_colour_luminance():
    grey = torch.full((1, 2, 2), 5.0)
    assert match_channels(grey, 3, "x").shape == (3, 2, 2)
    colour = torch.stack([torch.full((2, 2), value) for value in (255.0, 0.0, 0.0)])
    assert match_channels(colour, 1, "x")[0, 0, 0].item() == pytest.approx(0.299 * 255)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(value):
    array = np.zeros((1, 4, 4), np.float32)
    array[0, 1, 1] = value
    with pytest.raises(ImageError, match="NaN or infinite"):
        prepare_image(image(array), DataPlan(channels=1))


def test_shrinking_takes_means_and_masks_become_shares(disc):
    data = DataPlan(downsample=4)
    mask = disc()[None]
    share = prepare_mask(mask, data)
    assert share.shape == (1, 16, 16)
    assert share[0, 8, 8] == 1
    assert share.sum().item() * 16 == pytest.approx(mask.sum())
    assert resize(torch.arange(4.0).reshape(1, 2, 2), (1, 1)).item() == 1.5


@pytest.mark.parametrize(
    ("shape", "settings", "expected"),
    [
        ((100, 60), {"downsample": 2}, (50, 30)),
        ((3, 100), {"downsample": 8}, (1, 12)),
        ((5, 100, 60), {"downsample": 2}, (5, 50, 30)),
        ((100, 60), {"size": [32, 48]}, (32, 48)),
        ((7, 100, 60), {"size": [32, 48]}, (7, 32, 48)),
    ],
)
def test_working_shapes(shape, settings, expected):
    assert working_shape(shape, DataPlan(**settings)) == expected


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [((2.0, 1.0, 1.0), (10, 20, 30)), ((4.0, 0.5, 2.0), (20, 10, 60)), ((2.2, 0.9, 1.1), (10, 20, 30))],
)
def test_a_wanted_spacing_is_reached_unless_it_nearly_is(spacing, expected):
    data = DataPlan(spacing=[2.0, 1.0, 1.0])
    assert working_shape((10, 20, 30), data, Spacing(spacing, "mm")) == expected


def test_a_wanted_spacing_needs_a_known_one():
    data = DataPlan(spacing=[2.0, 1.0, 1.0])
    for spacing in (None, unknown_spacing(3)):
        with pytest.raises(ImageError, match=r"data\.spacing=null"):
            working_shape((10, 20, 30), data, spacing)


def test_image_and_mask_are_brought_to_one_grid():
    data = DataPlan(channels=1, spacing=[2.0, 2.0], mean=[0.0], std=[1.0])
    spacing = Spacing((1.0, 0.5), "mm")
    found = prepare_image(Image(np.ones((1, 20, 40), np.uint8), spacing), data)
    assert found.shape == (1, 10, 10)
    assert prepare_mask(np.ones((2, 20, 40), bool), data, spacing).shape == (2, 10, 10)


@pytest.mark.parametrize("settings", [{"neighbours": 2}, {"dims": 3}])
def test_a_flat_image_does_not_fit_a_plan_for_volumes(settings):
    with pytest.raises(ImageError, match="one flat image of 4 x 4"):
        prepare_image(image(np.zeros((1, 4, 4), np.uint8)), DataPlan(channels=1, **settings))


def test_channels_on_scales_of_their_own_are_each_seen():
    rng = np.random.default_rng(0)
    array = np.stack([rng.normal(120, 10, (32, 32)), rng.normal(9000, 800, (32, 32)), np.full((32, 32), 7)])
    found = prepare_image(image(array.astype(np.uint16)), DataPlan(channels=3, normalise="channel"))
    assert found.mean((1, 2)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert found.std((1, 2)).tolist() == pytest.approx([1, 1, 0], abs=1e-2)
    together = prepare_image(image(array.astype(np.uint16)), DataPlan(channels=3, normalise="image"))
    assert together[0].std() < 0.01
    voxels = prepare_image(image(array[:2, None]), DataPlan(channels=2, normalise="channel"))
    assert voxels.shape == (2, 1, 32, 32)
    assert voxels.std((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-2)


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("how", ["image", "channel"])
def test_the_unit_of_an_image_takes_no_contrast_away(how, unit):
    array = np.random.default_rng(0).random((1, 32, 32)).astype(np.float32)
    scaled, plain = (
        prepare_image(image(array * of), DataPlan(channels=1, normalise=how)) for of in (unit, 1)
    )
    torch.testing.assert_close(scaled, plain, atol=1e-3, rtol=0)
    flat = prepare_image(image(np.full((1, 40, 40), 1000.1 * unit, np.float32)), DataPlan(normalise=how))
    assert flat.abs().max() < 0.01 * max(1, unit)


def test_usual_images_are_normalised_to_the_same_bits():
    array = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8)
    x = torch.from_numpy(array).float()
    found = prepare_image(image(array), DataPlan(channels=1, normalise="image"))
    assert torch.equal(found, (x - x.mean()) / x.std(correction=0).clamp(min=1e-3))


def test_another_bit_depth_than_the_studys_is_refused():
    """One mean and spread for all would show such a picture as black or white, and say nothing."""
    colour = DataPlan(channels=3, dtype="uint8", mean=[150.0] * 3, std=[40.0] * 3)
    eight = np.random.default_rng(0).integers(60, 250, (3, 16, 16)).astype(np.uint8)
    prepare_image(image(eight), colour)
    prepare_image(image(eight.astype(np.float32)), colour)
    for other in (eight.astype(np.uint16) * 257, eight.astype(np.float32) / 255):
        with pytest.raises(ImageError, match=rf"some\.png: its pixels are {other.dtype} .* to uint8"):
            prepare_image(image(other), colour)
        prepare_image(image(other), colour.model_copy(update={"normalise": "image"}))
        prepare_image(image(other), colour.model_copy(update={"dtype": None}))  # plans of an older Hilum
