import numpy as np
import pytest
import tifffile

from hilum.image.pyramid import open_pyramid
from hilum.image.thumbnail import shrunken, thumbnail, tissue_mask


def slide(shape=(400, 600), light=1.0):
    rng = np.random.default_rng(0)
    image = rng.normal(235 * light, 2, (*shape, 3))
    image[100:200, 300:450] = rng.normal((180, 110, 160), 20, (100, 150, 3))
    return image.clip(0, 255).astype(np.uint8)


def test_a_thumbnail_is_the_means_of_the_image(tmp_path, monkeypatch):
    image = slide()
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(64, 64))
    monkeypatch.setattr("hilum.image.thumbnail.BLOCK_PIXELS", 10_000)
    with open_pyramid(tmp_path / "a.tif") as pyramid:
        small = shrunken(pyramid, (40, 60))
        assert small == pytest.approx(
            np.moveaxis(image.reshape(40, 10, 60, 10, 3).mean((1, 3)), -1, 0), abs=1e-3
        )
        assert thumbnail(pyramid, 1000).shape[0] == 3
        assert thumbnail(pyramid, 10**9).shape == (3, 400, 600)


def test_glass_is_told_from_tissue():
    found = tissue_mask(np.moveaxis(slide(), -1, 0).astype(np.float32), 255)
    assert found[100:200, 300:450].all()
    assert found.sum() < 1.2 * 100 * 150


def test_what_may_not_be_glass_is_kept():
    dark = np.moveaxis(slide(light=0.5), -1, 0).astype(np.float32)
    assert tissue_mask(dark, 255).all()
    grey = np.zeros((1, 50, 50), np.float32)
    grey[0, 10, 10] = 1
    assert tissue_mask(grey, 255).sum() == 9
