import numpy as np
import pytest

from hilum.ct.coordinates import voxel_to_world, world_to_voxel
from hilum.ct.grids import box_around, cut_cube, regridded, sampled
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing

TURNED = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def scan(direction=STRAIGHT, shape=(30, 40, 50), spacing=(2.0, 0.8, 0.8)):
    array = np.full((1, *shape), -800, np.int16)
    return Image(array, Spacing(spacing, "mm"), geometry=Geometry((-50.0, 20.0, 7.0), direction))


def test_the_box_of_a_mask():
    mask = np.zeros((10, 20, 30), bool)
    mask[4:6, 0:3, 20:29] = True
    assert box_around(mask, (1, 2, 3.5)) == (slice(3, 7), slice(0, 5), slice(16, 30))
    assert box_around(np.zeros((3, 4, 5), bool), (1, 1, 1)) == (slice(0, 3), slice(0, 4), slice(0, 5))


@pytest.mark.parametrize("direction", [STRAIGHT, TURNED])
def test_a_part_on_another_grid_lies_where_it_lay(direction):
    """The world place of a working voxel's middle is that of the voxels it is made of."""
    image = scan(direction)
    box = (slice(4, 24), slice(10, 30), slice(8, 40))
    part = regridded(image, box, np.zeros((1, 10, 5, 16)))
    assert part.spacing.sizes == pytest.approx((4.0, 3.2, 1.6))
    for working, own in (((0, 0, 0), (4.5, 11.5, 8.5)), ((9, 4, 15), (22.5, 27.5, 38.5))):
        assert voxel_to_world(part, working) == pytest.approx(voxel_to_world(image, own))


@pytest.mark.parametrize("direction", [STRAIGHT, TURNED])
def test_a_cube_shows_the_ball_in_its_middle(direction):
    image = scan(direction)
    z, y, x = np.indices(image.shape)
    middle = np.array([15, 20, 30])
    away = np.hypot(np.hypot((z - 15) * 2.0, (y - 20) * 0.8), (x - 30) * 0.8)
    image.array[0][away <= 5] = 40
    cube = cut_cube(image, voxel_to_world(image, middle), 24, 1.0)
    assert cube.shape == (24, 24, 24)
    dense = np.argwhere(cube > -400)
    assert dense.mean(0) == pytest.approx([11.5, 11.5, 11.5], abs=0.3)
    assert len(dense) == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.1)


def test_beyond_the_scan_is_air():
    image = scan()
    corner = voxel_to_world(image, (0, 0, 0))
    cube = cut_cube(image, corner, 16, 1.0)
    assert cube[0, 0, 0] == -1000
    assert cube[-1, -1, -1] == pytest.approx(-800)
    far = cut_cube(image, voxel_to_world(image, (500, 500, 500)), 8, 1.0)
    assert (far == -1000).all()


def test_values_between_voxels():
    values = np.arange(24.0).reshape(2, 3, 4)
    found = sampled(values, [np.array([0.5]), np.array([1.0]), np.array([0.0, 1.5])])
    assert found.ravel().tolist() == [10.0, 11.5]
    assert world_to_voxel(scan(), voxel_to_world(scan(), (3, 4, 5))) == pytest.approx([3, 4, 5])
