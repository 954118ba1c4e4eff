"""What is written reads back as it was: pixels, type, spacing."""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from hilum.errors import HilumError, ImageError
from hilum.image.image import Image
from hilum.image.readers import read_image
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.image.writers import write_image, write_mask

rng = np.random.default_rng(5)
SPACINGS = [
    None,
    Spacing((0.65, 0.7), "um"),
    Spacing((0.703125, 0.25), "mm"),
    Spacing((0.3528, 0.3528), "mm"),
    Spacing((1e-3, 1e-3), "um"),
]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_masks(tmp_path, disc, suffix, spacing):
    path = tmp_path / "new" / f"mask{suffix}"
    mask = disc((40, 50), (20, 20), 9)
    write_mask(path, mask, spacing)
    image = read_image(path)
    assert image.array.dtype == np.uint8
    assert np.array_equal(image.array[0], mask * np.uint8(1 if suffix == ".npy" else 255))
    assert image.spacing == (spacing if spacing and suffix != ".npy" else unknown_spacing(2))
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".nii.gz", ".mha", ".nrrd"])
def test_volume_masks(tmp_path, suffix):
    mask = rng.random((6, 10, 12)) > 0.5
    write_mask(tmp_path / f"mask{suffix}", mask, Spacing((2.5, 0.7, 0.8), "mm"))
    image = read_image(tmp_path / f"mask{suffix}")
    assert np.array_equal(image.array[0] > 0, mask)
    if suffix != ".npy":
        assert image.spacing.unit == "mm"
        assert image.spacing.sizes == pytest.approx((2.5, 0.7, 0.8))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 5, 6), (2, 5, 6), (1, 7, 5, 6), (3, 7, 5, 6)])
def test_images(tmp_path, suffix, kind, shape):
    array = (rng.random(shape) * 120).astype(kind)
    spacing = Spacing((2.0, 0.5, 0.25)[-len(shape) + 1 :], "um")
    path = tmp_path / f"a{suffix}"
    if suffix == ".png" and (kind not in ("uint8", "uint16") or shape not in [(1, 5, 6), (3, 5, 6)]):
        with pytest.raises(ImageError, match="PNG holds"):
            write_image(path, Image(array, spacing))
        assert not path.exists()
        return
    write_image(path, Image(array, spacing))
    image = read_image(path)
    assert image.array.dtype == array.dtype
    assert np.array_equal(image.array, array)
    if suffix != ".npy":
        assert image.spacing == spacing


def test_others_read_our_files(tmp_path):
    array = rng.integers(0, 255, (3, 20, 30), dtype=np.uint8)
    image = Image(array, Spacing((0.5, 0.25), "um"))
    write_image(tmp_path / "a.png", image)
    write_image(tmp_path / "a.tif", image)
    picture = Pillow.open(tmp_path / "a.png")
    assert np.array_equal(np.asarray(picture), np.moveaxis(array, 0, -1))
    assert picture.info["dpi"] == pytest.approx((25_400 / 0.25, 25_400 / 0.5))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_ome
        assert np.array_equal(tif.asarray(), np.moveaxis(array, 0, -1))


@pytest.mark.parametrize(
    "mask", [np.zeros((5, 5), np.uint8), np.zeros(5, bool), np.zeros((1, 1, 5, 5), bool)]
)
def test_only_masks_are_masks(tmp_path, mask):
    with pytest.raises(ImageError, match="a mask is bool"):
        write_mask(tmp_path / "a.png", mask)


@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "a"])
def test_formats_that_lose_are_refused(tmp_path, name):
    with pytest.raises(ImageError, match=r"allowed are \.png"):
        write_mask(tmp_path / name, np.zeros((5, 5), bool))


def test_types_that_tiff_does_not_hold(tmp_path):
    with pytest.raises(ImageError, match="int64"):
        write_image(tmp_path / "a.tif", Image(np.zeros((1, 5, 5), np.int64)))


def test_disk_that_refuses(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HilumError, match="cannot be written"):
        write_mask(tmp_path / "file" / "a.png", np.zeros((5, 5), bool))
