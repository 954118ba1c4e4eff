import numpy as np
import pytest
import tifffile
import torch

from hilum.errors import ImageError
from hilum.image.pyramid import open_pyramid
from hilum.image.readers import read_image
from hilum.planning.plan import DataPlan
from hilum.training.prepare import prepare_image
from hilum.training.windows import working_image


def picture(shape=(240, 320)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = 1 - 0.3 * ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2)
    image = np.full((*shape, 3), 240.0) + np.random.default_rng(0).normal(0, 1, (*shape, 3))
    image[60:120, 80:200] = (170, 100, 150)
    return (image * light[..., None]).clip(0, 255).astype(np.uint8)


@pytest.fixture
def path(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        tif.write(picture(), tile=(64, 64), photometric="rgb", subifds=2, metadata={"axes": "YXS"})
        for step in (2, 4):
            small = picture().reshape(240 // step, step, 320 // step, step, 3).mean((1, 3)).round()
            tif.write(small.astype(np.uint8), tile=(64, 64), photometric="rgb", subfiletype=1)
    return tmp_path / "a.ome.tif"


def plan(**settings):
    return DataPlan(channels=3, outputs=["a"], mean=[128.0] * 3, std=[50.0] * 3, **settings)


@pytest.mark.parametrize("channels", [1, 3])
def test_windows_are_parts_of_the_prepared_image(path, channels, monkeypatch):
    monkeypatch.setattr("hilum.training.windows.READ_PIXELS", 1000)
    data = plan(downsample=2).model_copy(update={"channels": channels, "mean": [128.0], "std": [50.0]})
    whole = prepare_image(read_image(path), data)
    with open_pyramid(path) as pyramid:
        image = working_image(pyramid, data)
        assert image.shape == (120, 160)
        assert torch.equal(image.window(10, 77, 30, 155), whole[:, 10:77, 30:155])


def test_beyond_the_limit_light_and_intensities_are_nearly_those_of_all_pixels(path, monkeypatch):
    wholes = [
        prepare_image(read_image(path), plan(**kind))
        for kind in ({"flatten_light": True}, {"normalise": "image"})
    ]
    monkeypatch.setattr("hilum.training.windows.EXACT_PIXELS", 40_000)
    monkeypatch.setattr("hilum.training.windows.SAMPLE_SIDE", 16)
    for kind, whole in zip(({"flatten_light": True}, {"normalise": "image"}), wholes, strict=True):
        with open_pyramid(path) as pyramid:
            found = working_image(pyramid, plan(**kind)).window(0, 240, 0, 320)
        assert (found - whole).abs().mean() < 0.05 * whole.std()


def test_coarse_plans_read_a_smaller_level(path):
    with open_pyramid(path) as pyramid:
        assert [working_image(pyramid, plan(downsample=step)).level for step in (1, 4, 8, 16)] == [0, 0, 1, 2]
        image = working_image(pyramid, plan(downsample=16))
        whole = prepare_image(read_image(path), plan(downsample=16))
        assert (image.window(0, 15, 0, 20) - whole).abs().max() < 0.05


def test_tissue_is_known_by_window(path):
    with open_pyramid(path) as pyramid:
        image = working_image(pyramid, plan(downsample=2, flatten_light=True))
        assert image.has_tissue(30, 60, 40, 100)
        assert not image.has_tissue(90, 120, 0, 160)
        assert working_image(pyramid, plan(), skip_glass=False).has_tissue(0, 1, 0, 1)


def test_nan_and_wrong_channels_are_told(tmp_path):
    array = np.zeros((64, 64), np.float32)
    array[5, 5] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", array, tile=(32, 32))
    tifffile.imwrite(
        tmp_path / "two.tif", np.zeros((2, 64, 64), np.uint8), ome=True, metadata={"axes": "CYX"}
    )
    with (
        open_pyramid(tmp_path / "nan.tif") as pyramid,
        pytest.raises(ImageError, match=r"nan\.tif: holds NaN"),
    ):
        working_image(pyramid, plan(), skip_glass=False).window(0, 64, 0, 64)
    with open_pyramid(tmp_path / "two.tif") as pyramid, pytest.raises(ImageError, match="has 2 channels"):
        working_image(pyramid, plan(), skip_glass=False).window(0, 64, 0, 64)


def test_a_huge_flat_image_does_not_fit_a_plan_for_volumes(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((64, 64), np.uint8), tile=(32, 32))
    volumes = plan().model_copy(update={"neighbours": 2})
    with open_pyramid(tmp_path / "flat.tif") as pyramid, pytest.raises(ImageError, match="one flat image"):
        working_image(pyramid, volumes, skip_glass=False)


@pytest.fixture
def two(tmp_path):
    """Two channels on scales of their own."""
    array = np.random.default_rng(0).normal([[[120]], [[9000]]], [[[10]], [[800]]], (2, 240, 320))
    pixels = array.astype(np.uint16)
    tifffile.imwrite(tmp_path / "c.ome.tif", pixels, ome=True, tile=(64, 64), metadata={"axes": "CYX"})
    return tmp_path / "c.ome.tif"


@pytest.mark.parametrize("limit", [16_000_000, 40_000])
def test_each_channel_is_normalised_by_its_own_scale(two, monkeypatch, limit):
    monkeypatch.setattr("hilum.training.windows.EXACT_PIXELS", limit)
    monkeypatch.setattr("hilum.training.windows.SAMPLE_SIDE", 16)
    data = DataPlan(channels=2, outputs=["a"], normalise="channel")
    whole = prepare_image(read_image(two), data)
    with open_pyramid(two) as pyramid:
        found = working_image(pyramid, data, skip_glass=False).window(10, 77, 30, 155)
    assert (found - whole[:, 10:77, 30:155]).abs().max() < (1e-4 if limit > 100_000 else 0.1)


def test_a_huge_image_of_small_numbers_keeps_its_contrast(tmp_path):
    array = np.random.default_rng(0).random((240, 320)).astype(np.float32) * 1e-6
    tifffile.imwrite(tmp_path / "a.tif", array, tile=(64, 64))
    with open_pyramid(tmp_path / "a.tif") as pyramid:
        image = working_image(pyramid, DataPlan(channels=1, normalise="image"), skip_glass=False)
        assert float(image.window(0, 240, 0, 320).std()) == pytest.approx(1, abs=1e-2)
