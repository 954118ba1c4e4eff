import numpy as np

from hilum.ct.lungs import LEFT, RIGHT, Lungs
from hilum.ct.marks import ball_mask
from hilum.ct.pictures import BLUE, GREEN, RED, lung_montage, montage, outlined, three_planes, tinted
from hilum.image.image import Geometry, Image
from hilum.image.spacing import Spacing
from hilum.study.study import Mark

STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
UPSIDE = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)


def scan(direction=STRAIGHT):
    array = np.full((1, 20, 60, 60), -1350, np.int16)
    return Image(array, Spacing((3.0, 1.0, 1.0), "mm"), geometry=Geometry((0.0, 0.0, 0.0), direction))


def test_a_ball_is_round_in_all_planes():
    image = scan()
    centre = (30.0, 30.0, 30.0)
    ball = ball_mask(image, [Mark(centre, 24.0)])
    image.array[0][ball] = 150
    for picture in three_planes(image, centre, size_mm=60, pixels=120):
        assert picture.shape == (120, 120, 3)
        assert picture.dtype == np.uint8
        bright = np.argwhere(picture[..., 0] > 127)
        np.testing.assert_allclose(np.ptp(bright, axis=0) + 1, (48, 48), atol=5)
        np.testing.assert_allclose(bright.mean(axis=0), (59.5, 59.5), atol=1.5)


def test_head_front_and_right_lie_where_radiologists_look_for_them():
    for direction in (STRAIGHT, UPSIDE):
        image = scan(direction)
        sign = image.geometry.direction[8]
        head, back = (image.array[0], 17 if sign > 0 else 2), (50 if sign > 0 else 9)
        head[0][head[1]] = 150
        image.array[0][:, back] = 150
        image.array[0][:, :, 50] = 150
        middle = (29.5, sign * 29.5, sign * 28.5)
        axial, coronal, sagittal = three_planes(image, middle, size_mm=None, pixels=60)
        assert axial[50, 20, 0] == 255
        assert axial[20, 50, 0] == 255
        assert axial[20, 20, 0] == 0
        assert coronal[6:10, 20, 0].max() > 200
        assert coronal[15:, 20, 0].max() == 0
        assert coronal[40, 50, 0] == 255
        assert sagittal[6:10, 20, 0].max() > 200
        assert sagittal[15:, 20, 0].max() == 0
        assert sagittal[40, 50, 0] == 255


def test_outlines_run_round_the_mask_and_tints_keep_the_grey():
    picture = np.full((20, 20, 3), 100, np.uint8)
    mask = np.zeros((20, 20), bool)
    mask[5:10, 5:10] = True
    drawn = outlined(picture, mask, GREEN)
    assert (drawn[mask] == 100).all()
    assert tuple(drawn[4, 7]) == GREEN
    assert (drawn != 100).any(axis=2).sum() == 20
    assert (picture == 100).all()
    assert tuple(tinted(picture, mask, (200, 100, 0), 0.5)[6, 6]) == (150, 100, 50)


def test_outlines_lie_on_the_nodule():
    image = scan()
    centre = (30.0, 30.0, 30.0)
    ball = ball_mask(image, [Mark(centre, 24.0)])
    for picture in three_planes(image, centre, [(ball, GREEN)], size_mm=60, pixels=120):
        line = np.argwhere((picture == GREEN).all(axis=2))
        assert line.size
        np.testing.assert_allclose(np.ptp(line, axis=0) + 1, (50, 50), atol=5)


def test_montages():
    parts = [np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = montage(parts, 2)
    assert sheet.shape == (8, 12, 3)
    assert (sheet[0, 0, 0], sheet[0, 6, 0], sheet[4, 0, 0], sheet[4, 6, 0]) == (10, 20, 30, 0)
    image = scan()
    sides = np.zeros(image.shape, np.uint8)
    sides[4:16, 10:50, 5:25] = RIGHT
    sides[4:16, 10:50, 35:55] = LEFT
    picture = lung_montage(image, Lungs(sides, 0, 0, 0), count=4, columns=4, pixels=64)
    assert picture.shape == (128, 256, 3)
    first = picture[:64, :64].astype(int)
    assert first[32, 16, 0] > first[32, 16, 2] + 10
    assert first[32, 48, 2] > first[32, 48, 0] + 10
    assert RED != BLUE
    empty = lung_montage(image, Lungs(np.zeros(image.shape, np.uint8), 0, 0, 0), count=4, pixels=32)
    assert empty.max() == 0


def test_a_dashed_line_lets_the_one_below_be_seen():
    picture = np.full((40, 40, 3), 100, np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    whole = outlined(picture, mask, GREEN, width=2)
    assert (whole != 100).any(axis=2).sum() > 150
    both = outlined(whole, mask, RED, width=2, dash=3)
    share = (both == RED).all(axis=2).sum() / (whole == GREEN).all(axis=2).sum()
    assert 0.35 < share < 0.65
    assert ((both == RED).all(axis=2) | (both == GREEN).all(axis=2)).sum() == (whole == GREEN).all(
        axis=2
    ).sum()
