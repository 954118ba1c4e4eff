import numpy as np
import pytest
from PIL import Image as Pillow

from hilum.errors import HilumError
from hilum.image.image import Image
from hilum.image.readers import read_image
from hilum.image.spacing import Spacing
from hilum.studio import pictures
from hilum.studio.pictures import Images, Window


def test_tiles_at_full_size_put_together_are_the_image():
    values = np.random.default_rng(0).integers(0, 255, (3, 700, 1100), dtype=np.uint8)
    rows = [
        np.concatenate([pictures.tile(values, 0, r, c, None) for c in range(3)], axis=1) for r in range(2)
    ]
    assert (np.concatenate(rows) == np.moveaxis(values, 0, -1)).all()


def test_the_last_level_is_one_tile_of_the_mean():
    values = np.random.default_rng(0).integers(0, 255, (1, 1024, 1024), dtype=np.uint8)
    last = pictures.levels((1024, 1024)) - 1
    found = pictures.tile(values, last, 0, 0, Window(0, 255))
    wanted = values[0].reshape(512, 2, 512, 2).mean(axis=(1, 3))
    assert found.shape == (512, 512, 3)
    assert np.abs(found[..., 0] - wanted).max() <= 1


@pytest.mark.parametrize(("level", "row", "column"), [(0, 2, 0), (9, 0, 0), (0, -1, 0), (-1, 0, 0)])
def test_a_tile_that_is_not_there_is_refused(level, row, column):
    with pytest.raises(HilumError, match="tile"):
        pictures.tile(np.zeros((1, 600, 600), np.uint8), level, row, column, None)


def test_window_and_level_of_16_bits():
    values = np.array([[[0, 1000, 2000, 3000, 65535]]], np.uint16)
    assert pictures.shown(values, Window(1000, 3000))[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_planes_of_a_volume_and_their_shape_on_the_screen():
    image = Image(np.arange(24).reshape(1, 2, 3, 4), Spacing((3.0, 1.0, 0.5), "mm"))
    assert (pictures.plane(image, 0, 1) == image.array[:, 1]).all()
    assert (pictures.plane(image, 1, 2) == image.array[:, ::-1, 2]).all()
    assert (pictures.plane(image, 2, 3) == image.array[:, ::-1, :, 3]).all()
    assert [pictures.aspect(image, axis) for axis in range(3)] == [2.0, 6.0, 3.0]


def test_a_scan_opens_with_a_lung_window_and_8_bit_colours_as_they_are():
    scan = Image(np.linspace(-1000, 400, 4 * 8 * 8).reshape(1, 4, 8, 8).astype(np.int16))
    assert pictures.natural_window(scan) == Window(-1350, 150)
    assert pictures.natural_window(Image(np.zeros((3, 4, 4), np.uint8))) is None


def test_png_of_a_picture_brings_it_back():
    picture = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    import io

    assert (np.asarray(Pillow.open(io.BytesIO(pictures.png(picture)))) == picture).all()


def test_memory_holds_the_last_images_up_to_its_limit():
    read = []

    def decode(name):
        read.append(name)
        return Image(np.zeros((1, 10, 10), np.uint8))

    images = Images(decode, limit_bytes=250)
    for name in "abcab":
        images.get(name)
    assert read == ["a", "b", "c", "a", "b"]
    assert list(images.held) == ["a", "b"]


def test_an_image_that_another_program_replaced_is_read_anew(tmp_path):
    path = tmp_path / "a.png"
    Pillow.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    images = Images(lambda name: read_image(tmp_path / f"{name}.png"))
    assert images.get("a") is images.get("a")
    Pillow.fromarray(np.full((5, 5), 9, np.uint8)).save(path)
    assert (images.get("a").array == 9).all()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([1.0, np.inf, np.nan, 3.0], (1.0, 3.0)), ([np.nan, -np.inf], (0.0, 0.0)), ([2, 7], (2.0, 7.0))],
)
def test_the_range_of_an_image_is_that_of_its_finite_values(values, wanted):
    array = np.array(values).reshape(1, 1, -1)
    assert pictures.value_range(array) == wanted
    assert pictures.shown(array, None).shape == (1, len(values), 3)
    assert not pictures.looks_like_ct(Image(array))


def test_thumbnails_show_masks_in_their_colours(disc):
    image = Image(np.full((3, 100, 200), 120, np.uint8))
    small = pictures.thumbnail(image, {0: disc((100, 200), (50, 100), 30)}, side=100)
    assert small.shape == (50, 100, 3)
    assert small[25, 50, 2] > small[25, 50, 0]
    assert (small[0, 0] == 120).all()
