import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.ct.candidates import Candidate, find_candidates, merged
from hilum.ct.coordinates import voxel_to_world
from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing

FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SPACING = (2.0, 1.0, 1.0)


def scan():
    array = np.full((1, 30, 60, 60), -850, np.int16)
    return Image(array, Spacing(SPACING, "mm"), geometry=Geometry((100.0, 50.0, -90.0), FLIPPED))


def balls(*parts):
    volume = np.zeros((30, 60, 60), np.float32)
    grid = np.meshgrid(*[np.arange(n) * s for n, s in zip(volume.shape, SPACING, strict=True)], indexing="ij")
    for centre, diameter, value in parts:
        place = np.multiply(centre, SPACING)
        away = np.sqrt(sum((axis - p) ** 2 for axis, p in zip(grid, place, strict=True)))
        volume[away <= diameter / 2] = value
    return volume


def candidate(centre, probability=0.9, diameter=4.0):
    return Candidate(centre, diameter, probability, probability, probability, np.pi / 6 * diameter**3)


def test_regions_become_candidates_in_world_millimetres():
    image = scan()
    volume = balls(((10, 20, 30), 12.0, 0.7), ((20, 40, 45), 8.0, 0.95))
    first, second = find_candidates(volume, image)
    np.testing.assert_allclose(first.centre, voxel_to_world(image, (20, 40, 45)), atol=1e-5)
    np.testing.assert_allclose(second.centre, (100 - 30, 50 - 20, -90 + 20), atol=1e-5)
    assert second.diameter_mm == pytest.approx(12, rel=0.05)
    assert (first.probability, second.probability) == pytest.approx((0.95, 0.7))
    assert second.volume_mm3 == (volume == np.float32(0.7)).sum() * 2


def test_the_centre_is_weighted_and_mean_and_peak_are_kept():
    volume = np.zeros((30, 60, 60), np.float32)
    volume[10, 20, 20:24] = (0.6, 0.6, 0.9, 0.9)
    (one,) = find_candidates(volume, scan(), smallest_mm=0)
    assert one.centre[0] == pytest.approx(
        100 - np.average([20, 21, 22, 23], weights=[0.6, 0.6, 0.9, 0.9]), abs=1e-5
    )
    assert one.peak == one.probability == pytest.approx(0.9)
    assert one.mean == pytest.approx(0.75)


def test_threshold_size_and_empty_volumes():
    image = scan()
    volume = balls(((10, 20, 30), 12.0, 0.4))
    assert find_candidates(volume, image) == []
    assert len(find_candidates(volume, image, threshold=0.3)) == 1
    volume[25, 5, 5] = 0.9
    assert find_candidates(volume, image, smallest_mm=3.0) == []
    with pytest.raises(ImageError, match="probability has shape"):
        find_candidates(volume[:5], image)


def test_near_candidates_are_merged_by_volume():
    big, small = candidate((0.0, 0.0, 0.0), 0.6, 6.0), candidate((3.0, 0.0, 0.0), 0.9, 3.0)
    (one,) = merged(
        [
            big,
            small,
        ],
        4.0,
    )
    assert one.probability == one.peak == 0.9
    assert one.volume_mm3 == pytest.approx(big.volume_mm3 + small.volume_mm3)
    assert one.centre[0] == pytest.approx(3 / 9)
    assert len(merged([big, candidate((9.0, 0.0, 0.0))], 4.0)) == 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            candidate,
            st.tuples(*[st.floats(-20, 20)] * 3),
            st.floats(0.01, 1),
            st.floats(1, 9),
        ),
        max_size=12,
    )
)
def test_merging_keeps_volume_and_order(found):
    kept = merged(found, 5.0)
    assert sum(one.volume_mm3 for one in kept) == pytest.approx(sum(one.volume_mm3 for one in found))
    assert [one.probability for one in kept] == sorted((one.probability for one in kept), reverse=True)
    assert len(kept) <= len(found)
    if found:
        assert kept[0].probability == max(one.probability for one in found)
