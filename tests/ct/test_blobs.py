"""Round dense spots in lungs."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.ct.blobs import find_blobs
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing

SHAPE = (40, 48, 56)
STEP = (2.0, 1.0, 1.5)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def scan(*solids: np.ndarray) -> Image:
    rng = np.random.default_rng(0)
    hu = rng.normal(-850, 25, SHAPE)
    for solid in solids:
        hu[solid] = 30
    return Image(
        hu[None].astype(np.float32),
        spacing=Spacing(STEP, "mm"),
        geometry=Geometry((10.0, -20.0, 5.0), IDENTITY),
    )


def distance(centre: tuple[float, float, float]) -> np.ndarray:
    """Distance in mm of each voxel from a place in mm along z, y, x from the first voxel."""
    axes = [np.arange(n) * step - at for n, step, at in zip(SHAPE, STEP, centre, strict=True)]
    return np.sqrt(sum(part**2 for part in np.meshgrid(*axes, indexing="ij")))


def tube() -> np.ndarray:
    """A vessel of 3 mm radius along z."""
    axes = [np.arange(n) * step for n, step in zip(SHAPE, STEP, strict=True)]
    _, y, x = np.meshgrid(*axes, indexing="ij")
    return np.hypot(y - 12, x - 60) < 3


@pytest.mark.parametrize("radius", [2.5, 4.0, 6.0])
def test_a_ball_comes_first_and_a_vessel_after_it(radius):
    image = scan(distance((40, 30, 30)) < radius, tube())
    first, *others = find_blobs(image, np.ones(SHAPE, bool))
    np.testing.assert_allclose(first.centre, (10 + 30, -20 + 30, 5 + 40), atol=1.5)
    assert first.diameter_mm == pytest.approx(2 * radius, rel=0.5)
    assert first.probability > 1.5 * max((one.probability for one in others), default=0.0)


def test_larger_balls_answer_on_larger_scales():
    sizes = [
        find_blobs(scan(distance((40, 24, 42)) < radius), np.ones(SHAPE, bool))[0].diameter_mm
        for radius in (2.0, 4.0, 7.0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_only_inside_counts_and_the_strongest_are_kept():
    image = scan(distance((40, 30, 30)) < 4, distance((20, 12, 70)) < 3)
    (alone,) = find_blobs(image, distance((40, 30, 30)) > 12)
    np.testing.assert_allclose(alone.centre, (10 + 70, -20 + 12, 5 + 20), atol=1.5)
    both = find_blobs(image, np.ones(SHAPE, bool))
    strengths = [one.probability for one in both]
    assert len(both) >= 2
    assert strengths == sorted(strengths, reverse=True)
    assert all(0 < value < 1 for value in strengths)
    assert find_blobs(image, np.ones(SHAPE, bool), most=1) == both[:1]


def test_nothing_is_found_in_noise():
    assert find_blobs(scan(), np.ones(SHAPE, bool)) == []


@pytest.mark.parametrize("thick", [2.0, 2.5, 5.0])
def test_a_ball_comes_before_vessels_along_thick_slices(thick):
    shape, step = (round(120 / thick), 64, 64), (thick, 0.7, 0.7)
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, step, strict=True)), indexing="ij")
    hu = np.random.default_rng(0).normal(-850, 25, shape)
    for radius, across, down in ((1.2, 10, 10), (1.8, 34, 10), (2.5, 10, 34)):
        hu[np.hypot(y - across, x - down) < radius] = 30
    hu[np.sqrt((z - 60) ** 2 + (y - 31) ** 2 + (x - 31) ** 2) < 4] = 30
    image = Image(
        hu[None].astype(np.float32), Spacing(step, "mm"), geometry=Geometry((0.0, 0.0, 0.0), IDENTITY)
    )
    first, *others = find_blobs(image, np.ones(shape, bool))
    np.testing.assert_allclose(first.centre, (31, 31, 60), atol=thick)
    assert all(first.probability > 1.5 * one.probability for one in others)
