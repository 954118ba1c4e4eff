import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.regions import equivalent_diameter, measure_regions


def test_hand_worked_anisotropic():
    """Pixels 2 µm high and 0.5 µm wide: 1 µm² each."""
    mask = np.zeros((6, 8), bool)
    mask[1:3, 2:5] = True  # 6 pixels
    mask[4, 7] = True  # 1 pixel at the right edge
    probability = np.where(mask, 0.6, 0.1)
    probability[1, 2] = 0.9
    first, second = measure_regions(mask, Spacing((2.0, 0.5), "um"), probability)
    assert (first.pixels, first.size) == (6, 6.0)
    assert first.centroid == (1.5, 3.0)
    assert (first.low, first.high) == ((1, 2), (3, 5))
    assert first.mean_probability == pytest.approx((0.9 + 5 * 0.6) / 6)
    assert first.diameter == pytest.approx(2 * math.sqrt(6 / math.pi))
    assert not first.touches_border
    assert (second.pixels, second.touches_border) == (1, True)


def test_corners_join():
    mask = np.eye(4, dtype=bool)
    assert len(measure_regions(mask, unknown_spacing(2))) == 1
    cube = np.zeros((2, 2, 2), bool)
    cube[0, 0, 0] = cube[1, 1, 1] = True
    assert len(measure_regions(cube, unknown_spacing(3))) == 1


def test_volume_by_hand():
    mask = np.zeros((5, 6, 7), bool)
    mask[1:3, 2:5, 3:5] = True  # 12 voxels of 2.5 x 0.7 x 0.8 mm
    (region,) = measure_regions(mask, Spacing((2.5, 0.7, 0.8), "mm"))
    assert region.size == pytest.approx(12 * 2.5 * 0.7 * 0.8)
    assert region.centroid == (1.5, 3.0, 3.5)
    assert math.isnan(region.mean_probability)


def test_disc_has_its_diameter():
    y, x = np.ogrid[:200, :200]
    disc = (y - 100) ** 2 + (x - 100) ** 2 <= 60**2
    (region,) = measure_regions(disc, Spacing((0.5, 0.5), "mm"))
    assert region.diameter == pytest.approx(60, rel=0.01)


def touches_border(mask):
    return any(mask.take(end, axis=axis).any() for axis in range(mask.ndim) for end in (0, -1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(9, 11), (4, 6, 5)]), st.floats(0.1, 0.9))
def test_agrees_with_scikit_image(seed, shape, density):
    from skimage.measure import label, regionprops

    generator = np.random.default_rng(seed)
    mask, probability = generator.random(shape) < density, generator.random(shape)
    sizes = tuple(generator.uniform(0.3, 3, len(shape)))
    found = measure_regions(mask, Spacing(sizes, "mm"), probability)
    reference = regionprops(label(mask, connectivity=len(shape)), probability)
    assert len(found) == len(reference)
    assert sum(region.pixels for region in found) == mask.sum()
    firsts = [np.flatnonzero(label(mask, connectivity=len(shape)) == part.label)[0] for part in reference]
    assert firsts == sorted(firsts)
    for region, part in zip(found, reference, strict=True):
        assert region.pixels == part.num_pixels
        assert region.size == pytest.approx(part.num_pixels * math.prod(sizes))
        assert region.centroid == pytest.approx(part.centroid)
        assert (*region.low, *region.high) == part.bbox
        assert region.mean_probability == pytest.approx(part.intensity_mean)
    assert any(region.touches_border for region in found) == touches_border(mask)


def test_uint8_probability_is_scaled():
    (region,) = measure_regions(np.ones((2, 2), bool), unknown_spacing(2), np.full((2, 2), 51, np.uint8))
    assert region.mean_probability == pytest.approx(0.2)


def test_nothing_and_everything():
    assert measure_regions(np.zeros((3, 3), bool), unknown_spacing(2)) == []
    (region,) = measure_regions(np.ones((3, 3), bool), unknown_spacing(2))
    assert region.touches_border


def test_equivalent_diameter_of_a_ball():
    assert equivalent_diameter(4 / 3 * math.pi * 5**3, 3) == pytest.approx(10)


def test_errors():
    with pytest.raises(HilumError, match="spacing"):
        measure_regions(np.ones((3, 3), bool), unknown_spacing(3))
    with pytest.raises(HilumError, match="one shape"):
        measure_regions(np.ones((3, 3), bool), unknown_spacing(2), np.ones((2, 2)))
