import numpy as np
import pytest
import tifffile

from hilum.errors import HilumError, ImageError
from hilum.image.pyramid import open_pyramid
from hilum.image.pyramid_writer import bands, blocks, halved, level_shapes, start_writer
from hilum.image.spacing import Spacing, unknown_spacing


def waves(shape=(1201, 833)):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((np.sin(y / 31) + np.cos(x / 43)) > 0.3) * np.uint8(255)


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
@pytest.mark.parametrize("rows", [1, 300, 512, 1201])
def test_a_mask_pushed_band_by_band_reads_back_with_its_levels(tmp_path, kind, rows):
    if kind == "zarr":
        pytest.importorskip("zarr")
    mask, path = waves(), tmp_path / "sub" / f"m.ome.{'tif' if kind == 'tiff' else 'zarr'}"
    with start_writer(path, mask.shape, Spacing((0.5, 0.25), "um"), kind, binary=True) as writer:
        for y0, y1 in bands(1201, rows):
            writer.push(mask[y0:y1])
    with open_pyramid(path) as found:
        assert [level.shape for level in found.levels] == level_shapes(mask.shape)
        assert found.spacing == Spacing((0.5, 0.25), "um")
        assert (found.read_window(0, 0, *mask.shape)[0] == mask).all()
        small = found.read_window(0, 0, *found.levels[-1].shape, len(found.levels) - 1)
    assert set(np.unique(small)) == {0, 255}
    assert (small > 0).mean() == pytest.approx((mask > 0).mean(), abs=0.01)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_other_programs_read_the_tiff(tmp_path):
    mask, path = waves(), tmp_path / "m.ome.tif"
    with start_writer(path, mask.shape, unknown_spacing(2), binary=True) as writer:
        writer.push(mask)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert len(tif.series) == 1
        assert [level.shape for level in tif.series[0].levels] == level_shapes(mask.shape)
        assert tif.pages.first.tile == (512, 512)
        assert (tif.asarray() == mask).all()


def test_colour_by_jpeg(tmp_path):
    y, x = np.mgrid[:600, :700]
    colour = np.stack([y // 3, x // 3, (x + y) // 6], axis=-1).astype(np.uint8)
    with start_writer(tmp_path / "c.ome.tif", (600, 700), unknown_spacing(2), codec="jpeg") as writer:
        writer.push(colour)
    with open_pyramid(tmp_path / "c.ome.tif") as found:
        assert found.channels == 3
        assert np.abs(found.read_window(0, 0, 600, 700).astype(int) - np.moveaxis(colour, -1, 0)).max() < 12


def test_halves():
    grey = np.array([[10, 20, 50], [30, 40, 50], [7, 7, 9]], np.uint8)
    assert halved(grey).tolist() == [[25, 50], [7, 9]]


def test_an_unfinished_file_is_not_there(tmp_path):
    writer = start_writer(tmp_path / "m.ome.tif", (100, 100), unknown_spacing(2))
    with pytest.raises(HilumError, match="50 of 100 rows"), writer:
        writer.push(np.zeros((50, 100), np.uint8))
    with (
        pytest.raises(HilumError, match="does not fit"),
        start_writer(tmp_path / "n.ome.tif", (100, 100), unknown_spacing(2)) as other,
    ):
        other.push(np.zeros((50, 99), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ImageError, match="tiff or zarr"):
        start_writer(tmp_path / "m.png", (10, 10), unknown_spacing(2), "png")


def test_blocks_cover_a_width_evenly():
    assert blocks(10, 4) == [(0, 3), (3, 6), (6, 10)]
