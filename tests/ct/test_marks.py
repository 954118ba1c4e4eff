import numpy as np
import pytest

from hilum.ct.coordinates import voxel_to_world
from hilum.ct.marks import adaptive_mask, ball_mask, slices_mask
from hilum.errors import StudyError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.study.study import Mark

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def scan(direction=STRAIGHT, hu=-850):
    array = np.full((1, 30, 60, 60), hu, np.int16)
    return Image(array, Spacing((2.0, 1.0, 1.0), "mm"), geometry=Geometry((-20.0, -30.0, -90.0), direction))


def at(image, z, y, x):
    return tuple(voxel_to_world(image, (z, y, x)).tolist())


@pytest.mark.parametrize("direction", [STRAIGHT, FLIPPED])
def test_a_ball_has_its_volume_and_place(direction):
    image = scan(direction)
    mask = ball_mask(image, [Mark(at(image, 15, 30, 25), 20.0)])
    assert mask.sum() * 2.0 == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.03)
    np.testing.assert_allclose(np.argwhere(mask).mean(axis=0), (15, 30, 25))
    assert np.ptp(np.nonzero(mask)[0]) == 10
    assert np.ptp(np.nonzero(mask)[2]) == 20


def test_small_and_edge_balls_have_at_least_a_voxel():
    image = scan()
    assert ball_mask(image, [Mark(at(image, 4.5, 7.5, 7.5), 0.2)]).sum() >= 1
    edge = ball_mask(image, [Mark(at(image, 0, 0, 59), 6.0)])
    assert edge[0, 0, 59]
    assert not ball_mask(image, []).any()


def test_a_mark_outside_is_named_with_its_scan():
    image = scan()
    marks = [Mark(at(image, 5, 5, 5), 5.0), Mark((500.0, 0.0, -60.0), 7.0)]
    for make in (ball_mask, slices_mask, adaptive_mask):
        with pytest.raises(
            StudyError, match=r"1\.3\.6: 1 of 2 marks lie outside .* \(500, 0, -60\) mm, diameter 7"
        ):
            make(image, marks, seriesuid="1.3.6")
    with pytest.raises(StudyError, match=r"x -20\.0 to 39\.0, y -30\.0 to 29\.0, z -90\.0 to -32\.0"):
        ball_mask(image, marks)
    with pytest.raises(StudyError, match="diameter above zero"):
        ball_mask(image, [Mark(at(image, 5, 5, 5), float("nan"))])


def test_the_classic_recipe_keeps_three_slices():
    image = scan()
    marks = [Mark(at(image, 15.2, 30, 25), 24.0), Mark(at(image, 0, 10, 10), 10.0)]
    mask = slices_mask(image, marks)
    assert np.unique(np.nonzero(mask)[0]).tolist() == [0, 1, 14, 15, 16]
    np.testing.assert_array_equal(mask[15], ball_mask(image, marks)[15])


def test_adapted_masks_follow_the_nodule_and_leave_neighbours():
    image = scan()
    small = ball_mask(image, [Mark(at(image, 15, 30, 25), 10.0)])
    vessel = np.zeros(image.shape, bool)
    vessel[:, 38:40, 24:27] = True
    image.array[0][small | vessel] = 20
    mask = adaptive_mask(image, [Mark(at(image, 15, 31, 25), 18.0)])
    assert 2 * (mask & small).sum() / (mask.sum() + small.sum()) > 0.95
    assert not (mask & vessel).any()


def test_without_contrast_the_ball_is_kept():
    image = scan(hu=40)
    marks = [Mark(at(image, 15, 30, 25), 12.0)]
    np.testing.assert_array_equal(adaptive_mask(image, marks), ball_mask(image, marks))


def test_adapted_masks_lie_within_their_balls():
    numbers = np.random.default_rng(0)
    image = scan()
    image.array[:] = numbers.integers(-1000, 200, image.array.shape)
    marks = [Mark(at(image, *numbers.uniform(0, 29, 3)), float(d)) for d in numbers.uniform(2, 20, 8)]
    mask, ball = adaptive_mask(image, marks), ball_mask(image, marks)
    assert mask.any()
    assert not (mask & ~ball).any()
