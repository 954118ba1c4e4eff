import numpy as np
import pytest

from hilum.ct.coordinates import voxel_to_world, world_to_voxel
from hilum.ct.lungs import LEFT, RIGHT
from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.reporting.nodule_pictures import Spot, cut_out, kept_lungs, predicted_mask, take_pictures
from hilum.study.study import Case, Mark, Source

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
FLIPPED = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)


def scan(direction=STRAIGHT):
    array = np.arange(20 * 60 * 50, dtype=np.int32).reshape(1, 20, 60, 50)
    return Image(array, Spacing((3.0, 1.0, 1.0), "mm"), geometry=Geometry((-20.0, 10.0, 5.0), direction))


@pytest.mark.parametrize("direction", [STRAIGHT, FLIPPED])
@pytest.mark.parametrize("voxel", [(10, 30, 25), (0, 0, 0), (19, 59, 49)])
def test_a_part_keeps_its_place_in_the_world(direction, voxel):
    image = scan(direction)
    centre = tuple(voxel_to_world(image, voxel))
    part, box = cut_out(image, centre, 12.0)
    at = np.rint(world_to_voxel(part, centre)).astype(int)
    assert part.array[(0, *at)] == image.array[(0, *voxel)]
    np.testing.assert_array_equal(part.array[0], image.array[0][box])
    assert all(size <= 20 for size in part.shape)


def test_a_point_outside_the_scan_has_no_part():
    image = scan()
    assert cut_out(image, tuple(voxel_to_world(image, (-0.4, 0, 0))), 12.0)[0].array.size
    with pytest.raises(ImageError, match=r"the point \(-20\.0, 10\.0, 0\.5\) mm lies outside"):
        cut_out(image, tuple(voxel_to_world(image, (-1.5, 0, 0))), 12.0)


def test_predicted_masks_of_all_targets_are_drawn_and_those_of_another_size_are_not(tmp_path):
    image = scan()
    one, two = (np.zeros(image.shape, np.uint8) for _ in range(2))
    one[3, 4, 5], two[6, 7, 8] = 1, 3
    write_volume(tmp_path / "nodule" / "a.nii.gz", image.with_array(one[None]))
    write_volume(tmp_path / "cyst" / "a.nii.gz", image.with_array(two[None]))
    found = predicted_mask(tmp_path, "a", image)
    assert found.sum() == 2
    assert found[3, 4, 5]
    assert found[6, 7, 8]
    assert predicted_mask(tmp_path, "b", image) is None
    small = Image(np.ones((1, 4, 4, 4), np.uint8), image.spacing, geometry=image.geometry)
    write_volume(tmp_path / "nodule" / "c.nii.gz", small)
    assert predicted_mask(tmp_path, "c", image) is None


def test_kept_lungs_are_measured_again(tmp_path):
    image = scan()
    sides = np.zeros(image.shape, np.uint8)
    sides[:10, :, :20], sides[:10, :, 30:] = RIGHT, LEFT
    write_volume(tmp_path / "a.nii.gz", image.with_array(sides[None]))
    lungs = kept_lungs(tmp_path, "a", image)
    assert lungs.right_l == pytest.approx(10 * 60 * 20 * 3 / 1e6)
    assert lungs.left_l == pytest.approx(lungs.right_l)
    assert kept_lungs(tmp_path, "b", image) is None


def test_a_spot_outside_its_scan_is_a_problem_not_an_error(tmp_path):
    image = scan()
    write_volume(tmp_path / "a.mhd", image.with_array(image.array.astype(np.int16)))
    cases = {"a": Case("a", Source(tmp_path / "a.mhd"))}
    inside, outside = Spot("a", (0.0, 30.0, 30.0), 6.0), Spot("a", (900.0, 0.0, 0.0), 6.0)
    balls = {"a": [Mark(inside.centre, 6.0)]}
    album = take_pictures(cases, tmp_path, [outside, inside, Spot("b", (0, 0, 0), 1.0)], [], balls)
    assert len(album.planes[inside]) == 3
    assert outside not in album.planes
    assert "(900.0, 0.0, 0.0) mm lies outside" in album.problems["a"]
    assert album.problems["b"] == "is no case of this study"
