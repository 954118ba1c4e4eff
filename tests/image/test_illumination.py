"""The light surface against light that was put there on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hilum.image.illumination import coarse_light, evenly_lit, fall_off
from hilum.image.resampling import linear_window


def light_surface(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[1:]
    return linear_window(
        torch.from_numpy(coarse_light(image)), (height, width), (0, height, 0, width)
    ).numpy()


def flattened(image: np.ndarray) -> np.ndarray:
    return evenly_lit(torch.from_numpy(image).float(), coarse_light(image)).numpy()


def unevenness(image: np.ndarray) -> float:
    return fall_off(coarse_light(image))


def _tissue(seed: int, shape: tuple[int, int] = (320, 400)) -> np.ndarray:
    """White background with absorbing spots over a third of it."""
    rng = np.random.default_rng(seed)
    absorbing = rng.random((3, *shape)) < 0.35
    return np.where(absorbing, 0.5, 1.0)


def _light(shape: tuple[int, int], fall: float) -> np.ndarray:
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return 1 - fall * (x**2 + y**2) / 2


@pytest.mark.parametrize("fall", [0.0, 0.2, 0.4])
def test_the_light_that_was_put_in_is_found(fall: float) -> None:
    light = _light((320, 400), fall)
    image = np.round(230 * light * _tissue(0)).astype(np.uint8)
    found = light_surface(image)
    assert np.abs(found / (230 * light) - 1).max() < 0.06
    assert unevenness(image) == pytest.approx(
        1 - np.percentile(light, 2) / np.percentile(light, 98), abs=0.06
    )


def test_flattening_gives_back_the_tissue() -> None:
    tissue = _tissue(1)
    image = (230 * _light((320, 400), 0.4) * tissue).astype(np.uint8)
    assert np.abs(flattened(image) - tissue).mean() < 0.03


def test_a_large_dense_patch_is_not_taken_for_shadow() -> None:
    tissue = _tissue(2)
    tissue[:, 80:240, 80:240] = 0.4
    image = (230 * tissue).astype(np.uint8)
    assert flattened(image)[:, 100:220, 100:220].mean() == pytest.approx(0.4, abs=0.05)


def test_small_and_black_images_do_not_fail() -> None:
    assert np.isfinite(flattened(np.zeros((3, 8, 8), np.uint8))).all()
    assert np.isfinite(flattened(np.zeros((3, 200, 200), np.uint8))).all()


def test_dividing_after_shrinking_gives_nearly_the_same() -> None:
    image = (230 * _light((320, 400), 0.4) * _tissue(3)).astype(np.uint8)
    first = F.interpolate(torch.from_numpy(flattened(image))[None], (80, 100), mode="area")[0]
    shrunk = F.interpolate(torch.from_numpy(image).float()[None], (80, 100), mode="area")[0]
    after = evenly_lit(shrunk, coarse_light(image))
    assert float((first - after).abs().max()) < 5e-3


def test_a_window_is_lit_as_within_its_image() -> None:
    image = (230 * _light((320, 400), 0.4) * _tissue(4)).astype(np.uint8)
    x, light = torch.from_numpy(image).float(), coarse_light(image)
    part = evenly_lit(x[:, 40:90, 300:360], light, (320, 400), (40, 90, 300, 360))
    torch.testing.assert_close(part, evenly_lit(x, light)[:, 40:90, 300:360])
