import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hilum.ct.coordinates import (
    ball_box,
    head_end,
    inside,
    left_end,
    spacing_mm,
    voxel_to_world,
    world_to_voxel,
)
from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing

FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
UPSIDE = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def scan(direction=STRAIGHT, origin=(-166.0, -171.7, -340.0), spacing=(2.5, 0.703125, 0.7)):
    return Image(
        np.zeros((1, 5, 6, 7), np.int16), Spacing(spacing, "mm"), geometry=Geometry(origin, direction)
    )


def itk_of(image):
    itk = SimpleITK.GetImageFromArray(image.array[0])
    itk.SetSpacing(image.spacing.sizes[::-1])
    itk.SetOrigin(image.geometry.origin)
    itk.SetDirection(image.geometry.direction)
    return itk


@settings(max_examples=40, deadline=None)
@given(
    turn=st.one_of(
        st.sampled_from([STRAIGHT, FLIPPED, UPSIDE]),
        st.tuples(*[st.integers(-300, 300)] * 3).map(
            lambda angles: tuple(
                Rotation.from_euler("xyz", np.divide(angles, 100)).as_matrix().ravel().tolist()
            )
        ),
    ),
    point=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_it_agrees_with_itk_in_any_direction(turn, point):
    image = scan(turn)
    itk = itk_of(image)
    expected = itk.TransformPhysicalPointToContinuousIndex(point)[::-1]
    np.testing.assert_allclose(world_to_voxel(image, point), expected, atol=1e-6)
    np.testing.assert_allclose(voxel_to_world(image, expected), point, atol=1e-6)


def test_many_points_at_once():
    image = scan(FLIPPED)
    voxels = np.argwhere(np.ones(image.shape, bool)).reshape(5, 6, 7, 3)
    world = voxel_to_world(image, voxels)
    assert world.shape == (5, 6, 7, 3)
    np.testing.assert_allclose(world[1, 2, 3], (-166 - 3 * 0.7, -171.7 - 2 * 0.703125, -337.5))
    np.testing.assert_allclose(world_to_voxel(image, world), voxels, atol=1e-9)


def test_inside_counts_half_voxels_at_the_edge():
    image = scan(spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0))
    points = [(-0.5, 0, 0), (-0.6, 0, 0), (6.5, 5.5, 4.5), (0, 0, 4.6)]
    assert inside(image, points).tolist() == [True, False, True, False]


def test_ends_follow_the_direction():
    assert (head_end(scan()), left_end(scan())) == (1, 1)
    assert (head_end(scan(UPSIDE)), left_end(scan(FLIPPED))) == (-1, -1)


def test_unknown_spacing_and_flat_images_are_refused():
    with pytest.raises(ImageError, match="not known"):
        spacing_mm(Image(np.zeros((1, 2, 2, 2))))
    with pytest.raises(ImageError, match="a volume"):
        spacing_mm(Image(np.zeros((1, 2, 2)), Spacing((1.0, 1.0), "mm")))
    assert spacing_mm(Image(np.zeros((1, 2, 2, 2)), Spacing((500.0, 1.0, 1.0), "um")))[0] == 0.5


@settings(max_examples=60, deadline=None)
@given(
    turn=st.sampled_from([STRAIGHT, FLIPPED, UPSIDE]),
    voxel=st.tuples(*[st.floats(-1, 6)] * 3),
    radius=st.floats(0.1, 6),
)
def test_the_box_of_a_ball_holds_all_of_it_and_is_never_empty(turn, voxel, radius):
    image = scan(turn)
    centre = voxel_to_world(image, voxel)
    every = np.stack(np.indices(image.shape), axis=-1)
    ball = np.linalg.norm(voxel_to_world(image, every) - centre, axis=-1) <= radius
    box = ball_box(image, centre, radius)
    assert ball[box].sum() == ball.sum()
    assert ball[box].size > 0
    wide = 2 * (radius / spacing_mm(image) + 1) + 1
    assert all(size <= most for size, most in zip(ball[box].shape, wide, strict=True))
