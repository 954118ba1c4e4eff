import numpy as np
import pytest

from hilum.ct.lungs import LEFT, RIGHT, Lungs
from hilum.ct.marks import ball_mask
from hilum.ct.nodules import measure_nodules
from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.study.study import Mark

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def scan():
    array = np.full((1, 40, 60, 100), -850, np.int16)
    return Image(array, Spacing((1.0, 1.0, 1.0), "mm"), geometry=Geometry((0.0, 0.0, 0.0), STRAIGHT))


def lungs():
    sides = np.zeros((40, 60, 100), np.uint8)
    sides[5:35, 10:50, 10:45] = RIGHT
    sides[5:35, 10:50, 55:90] = LEFT
    return Lungs(sides, 0.0, 0.0, 0.0)


def test_size_density_side_and_wall():
    image = scan()
    marks = [Mark((30.0, 30.0, 20.0), 12.0), Mark((60.0, 30.0, 20.0), 8.0), Mark((50.0, 5.0, 20.0), 4.0)]
    mask = ball_mask(image, marks)
    image.array[0][mask] = 35
    big, left, stray = measure_nodules(mask, image, lungs())
    assert (big.number, left.number) == (1, 2)
    assert (big.x_mm, big.y_mm, big.z_mm) == pytest.approx((30, 30, 20))
    assert big.diameter_mm == pytest.approx(12, rel=0.03)
    assert big.volume_mm3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.06)
    assert (big.side, left.side, stray.side) == ("right", "left", "outside")
    assert big.mean_hu == 35
    assert big.wall_mm == pytest.approx(8.0)
    assert left.wall_mm == pytest.approx(1.0)
    assert stray.wall_mm == 0


def test_a_nodule_at_the_wall_touches_it():
    image = scan()
    mask = ball_mask(image, [Mark((12.0, 30.0, 20.0), 8.0)])
    (one,) = measure_nodules(mask, image, lungs())
    assert one.wall_mm == 0
    assert one.side == "right"


def test_no_nodules_and_other_shapes():
    image = scan()
    assert measure_nodules(np.zeros(image.shape, bool), image, lungs()) == []
    with pytest.raises(ImageError, match="must have the image's shape"):
        measure_nodules(np.zeros((2, 2, 2), bool), image, lungs())


@pytest.mark.parametrize("step", [(2.5, 0.7, 0.7), (0.7, 2.5, 0.7), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_nodule_touches_the_wall_on_any_side_of_any_voxel(step, axis):
    sides = np.zeros((24, 24, 24), np.uint8)
    sides[4:20, 4:20, 4:20] = RIGHT
    image = Image(
        np.zeros((1, 24, 24, 24), np.int16), Spacing(step, "mm"), geometry=Geometry((0.0, 0.0, 0.0), STRAIGHT)
    )
    for gap in (0, 1):
        mask = np.zeros((24, 24, 24), bool)
        place = [slice(10, 13)] * 3
        place[axis] = slice(4 + gap, 7 + gap)
        mask[tuple(place)] = True
        (one,) = measure_nodules(mask, image, Lungs(sides, 0.0, 0.0, 0.0))
        assert one.wall_mm == pytest.approx(gap * step[axis])


def test_the_way_to_a_corner_goes_from_edge_to_edge():
    sides = np.full((9, 9, 9), RIGHT, np.uint8)
    sides[0, 0, 0] = 0
    image = Image(
        np.zeros((1, 9, 9, 9), np.int16),
        Spacing((1, 1, 1), "mm"),
        geometry=Geometry((0.0, 0.0, 0.0), STRAIGHT),
    )
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 5, 0] = True
    (one,) = measure_nodules(mask, image, Lungs(sides, 0.0, 0.0, 0.0))
    assert one.wall_mm == pytest.approx(5.0)  # three voxels and four lie between them
