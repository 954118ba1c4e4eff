import itertools

import numpy as np
import pytest
import SimpleITK

from hilum.image.alignment import difference, turn_onto, turned
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.image.volume import read_volume, write_volume

ANGLE = np.deg2rad(20)
OBLIQUE = ((np.cos(ANGLE), -np.sin(ANGLE), 0.0), (np.sin(ANGLE), np.cos(ANGLE), 0.0), (0.0, 0.0, 1.0))


def volume(direction=OBLIQUE, sizes=(2.5, 0.7, 0.6), origin=(-110.3, -95.2, -300.7), shape=(4, 5, 6)):
    array = np.random.default_rng(0).integers(0, 99, (1, *shape)).astype(np.uint8)
    flat = tuple(float(value) for value in np.ravel(direction))
    return Image(array, Spacing(sizes, "mm"), geometry=Geometry(origin, flat))


def through_itk(image, path, order, flips):
    """The same voxels in the same places, stored with other axes."""
    write_volume(path, image)
    itk = SimpleITK.PermuteAxes(SimpleITK.ReadImage(str(path)), order)
    SimpleITK.WriteImage(SimpleITK.Flip(itk, flips, False), str(path))
    return read_volume(path)


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
@pytest.mark.parametrize("flips", [(False, True, False), (True, True, False), (True, False, True)])
def test_other_axes_are_turned_onto_the_grid(tmp_path, order, flips):
    image = volume()
    stored = through_itk(image, tmp_path / "a.nii", order, flips)
    turn = turn_onto(stored, image)
    assert not turn.still
    back = turned(stored, turn, image)
    assert (back.array == image.array).all()
    assert (back.spacing, back.geometry) == (image.spacing, image.geometry)


def test_what_nifti_rounds_is_the_same_grid(tmp_path):
    image = volume(shape=(40, 200, 200), sizes=(1.25, 0.703125, 0.703125))
    write_volume(tmp_path / "a.nii.gz", image)
    assert turn_onto(read_volume(tmp_path / "a.nii.gz"), image).still


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"sizes": (2.5, 0.7, 0.8)}, "spacing"),
        ({"origin": (-110.3, -91.0, -300.7)}, "origin"),
        ({"direction": np.eye(3)}, "direction"),
        ({"direction": np.asarray(OBLIQUE) * (1, -1, 1)}, "direction"),
        ({"sizes": (2.5, 0.7, 0.6 * 1.00005), "shape": (4, 5, 20001)}, "half a voxel"),
    ],
)
def test_another_place_is_told(changed, word):
    image = volume(shape=changed.get("shape", (4, 5, 6)))
    assert turn_onto(volume(**changed), image) is None
    assert word in difference(volume(**changed), image)


def test_volumes_without_a_place_are_taken_as_they_are():
    image, plain = volume(), np.eye(3)
    bare = Image(image.array, unknown_spacing(3))
    left = volume(plain, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    nifti = volume(plain * (-1, -1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert all(turn_onto(other, image).still for other in (bare, left, nifti))
    assert turn_onto(bare, volume(shape=(4, 5, 7))) is None


def test_pictures_with_a_place():
    here = Geometry((5.0, 6.0, 0.0), tuple(np.eye(3).ravel()))
    there = Geometry((5.0, 7.5, 0.0), tuple(np.diag([1.0, -1.0, 1.0]).ravel()))
    array = np.arange(12).reshape(1, 4, 3)
    picture = Image(array, Spacing((0.5, 0.4), "mm"), geometry=here)
    other = Image(array[:, ::-1], Spacing((0.5, 0.4), "mm"), geometry=there)
    assert (turned(other, turn_onto(other, picture), picture).array == array).all()
