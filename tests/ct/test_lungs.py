import numpy as np
import pytest

from hilum.ct.coordinates import spacing_mm
from hilum.ct.lungs import LEFT, RIGHT, lung_mask, shrink
from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.phantoms.ct import draw_scan
from hilum.phantoms.drawing import generator

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SIZES_MM = (4.0, 3.0, 3.0)


def ellipsoid(shape, centre, radii):
    grid = np.meshgrid(
        *[(np.arange(n) * s - c) / r for n, s, c, r in zip(shape, SIZES_MM, centre, radii, strict=True)],
        indexing="ij",
    )
    return sum(axis**2 for axis in grid) <= 1


def chest(joined=False, trachea=True, wall_nodule=True, table=True):
    """A body with two lungs, mm sizes; returns the image and the truth of right and left lung."""
    shape = (60, 100, 110)
    hu = np.full(shape, -1000, np.int16)
    rows = np.arange(100)[:, None] * 3.0
    columns = np.arange(110)[None, :] * 3.0
    body = ((rows - 140) / 105) ** 2 + ((columns - 165) / 150) ** 2 <= 1
    hu[:, body] = 40
    right = ellipsoid(shape, (110, 140, 105), (95, 75, 48))
    left = ellipsoid(shape, (110, 140, 225), (95, 75, 48))
    hu[right | left] = -850
    if trachea:
        tube = ((rows - 140) ** 2 + (columns - 165) ** 2 <= 9**2) & body
        hu[32:, tube] = -990
    if joined:
        hu[20:30, 45:48, 48:62] = -850
    if wall_nodule:
        hu[ellipsoid(shape, (110, 140, 68), (9, 9, 9))] = 30
    if table:
        hu[:, 88:92, 15:95] = 200
        hu[:, 89:91, 17:93] = -700
    hu[:, :3, :3] = -2048
    image = Image(hu[None], Spacing(SIZES_MM, "mm"), geometry=Geometry((-160.0, -140.0, -200.0), STRAIGHT))
    return image, right, left


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("joined", [False, True])
def test_both_lungs_are_found_told_apart_and_closed_over_the_nodule(joined):
    image, right, left = chest(joined)
    lungs = lung_mask(image)
    assert dice(lungs.sides == RIGHT, right) > 0.96
    assert dice(lungs.sides == LEFT, left) > 0.96
    nodule = image.array[0] == 30
    assert lungs.mask[nodule & right].mean() > 0.9
    assert not lungs.mask[image.array[0] == -990].any()
    assert not lungs.mask[image.array[0] == -700].any()
    litres = (right | left).sum() * np.prod(SIZES_MM) / 1e6
    assert lungs.volume_l == pytest.approx(litres, rel=0.05)
    assert lungs.volume_l == pytest.approx(lungs.left_l + lungs.right_l)
    assert lungs.warnings == ()


@pytest.mark.parametrize(
    ("flip", "direction"),
    [
        ((slice(None), slice(None, None, -1), slice(None, None, -1)), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)),
        ((slice(None, None, -1), slice(None, None, -1), slice(None)), (1.0, 0, 0, 0, -1.0, 0, 0, 0, -1.0)),
    ],
)
def test_flipped_volumes_give_the_same_sides(flip, direction):
    image, right, left = chest()
    turned = Image(
        image.array[0][flip][None].copy(), image.spacing, geometry=Geometry((0.0, 0.0, 0.0), direction)
    )
    lungs = lung_mask(turned)
    assert dice(lungs.sides == RIGHT, right[flip]) > 0.96
    assert dice(lungs.sides == LEFT, left[flip]) > 0.96
    assert not lungs.mask[turned.array[0] == -990].any()


@pytest.mark.parametrize("number", [0, 1])
def test_phantom_lungs(number):
    scan = draw_scan(generator(0, 31, number), (64, 96, 96), number)
    image = Image(scan.voxels[None], Spacing(scan.spacing, "mm"), geometry=Geometry(scan.origin, STRAIGHT))
    lungs = lung_mask(image)
    assert dice(lungs.mask, scan.lungs) > 0.97
    assert lungs.warnings == ()
    middle = image.shape[2] // 2
    assert (lungs.sides[:, :, : middle - 12] != LEFT).all()


def test_no_lungs_one_lung_and_no_geometry_are_told():
    image, _, left = chest(trachea=False, wall_nodule=False)
    solid = image.array.copy()
    solid[solid < -300] = 40
    nothing = lung_mask(image.with_array(solid))
    assert nothing.volume_l == 0
    assert any("no lungs" in text for text in nothing.warnings)
    single = image.array.copy()
    single[0][left] = 40
    one = lung_mask(Image(single, image.spacing))
    assert one.left_l == 0
    assert one.right_l > 0.5
    assert {"only one lung was found"} <= set(one.warnings)
    assert any("how the patient lies" in text for text in one.warnings)


def test_a_narrow_field_of_view_is_told():
    image, right, left = chest(trachea=False)
    box = (slice(5, 50), slice(15, 75), slice(30, 85))
    cut = Image(image.array[0][box][None].copy(), image.spacing, geometry=image.geometry)
    lungs = lung_mask(cut)
    assert dice(lungs.mask, (right | left)[box]) > 0.9
    assert any("field of view" in text for text in lungs.warnings)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_values_that_are_no_hounsfield_units_are_told(dtype):
    image, *_ = chest()
    lungs = lung_mask(image.with_array((image.array.clip(-1024) + 1024).astype(dtype)))
    assert any("Hounsfield" in text for text in lungs.warnings)
    assert any("outside" in text or "no " in text for text in lungs.warnings)


def test_shrinking_is_a_block_mean():
    array = np.arange(4 * 6 * 6, dtype=np.int16).reshape(4, 6, 6)
    coarse, factors = shrink(array, np.array([1.0, 0.7, 0.7]), 2.0)
    assert factors.tolist() == [2, 3, 3]
    assert coarse[0, 0, 0] == array[:2, :3, :3].mean()
    assert coarse[1, 1, 1] == array[2:, 3:, 3:].mean()


def test_unknown_spacing_is_refused():
    image, *_ = chest()
    with pytest.raises(ImageError, match="spacing is not known"):
        lung_mask(Image(image.array))
    assert spacing_mm(image).tolist() == list(SIZES_MM)
