import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

import hilum
from hilum.errors import HilumError
from hilum.image.spacing import Spacing
from hilum.measurement.measure import measure_files
from hilum.measurement.objects import Objects
from hilum.measurement.regions import measure_regions


def labels(shape=(70, 90), count=40):
    """Touching rectangles with numbers that jump, and one object in two parts."""
    rng = np.random.default_rng(0)
    image = np.zeros(shape, np.uint16)
    for number in rng.permutation(count):
        y, x = rng.integers(0, shape[0] - 9), rng.integers(0, shape[1] - 9)
        image[y : y + rng.integers(2, 9), x : x + rng.integers(2, 9)] = 3 * number + 1
    return image


def test_each_number_is_measured_as_its_own_mask():
    image, spacing = labels(), Spacing((0.5, 2.0), "um")
    found = Objects(image.shape)
    for y in range(0, 70, 16):
        for x in range(0, 90, 32):
            found.add((y, x), image[y : y + 16, x : x + 32])
    numbers, regions = found.regions(spacing)
    assert numbers == [number for number in np.unique(image) if number]
    for number, region in zip(numbers, regions, strict=True):
        rows, columns = np.nonzero(image == number)
        assert region.pixels == len(rows) == region.size
        assert region.centroid == (rows.mean(), columns.mean())
        assert (region.low, region.high) == ((rows.min(), columns.min()), (rows.max() + 1, columns.max() + 1))


def test_one_object_in_one_part_is_a_region(disc):
    image = disc().astype(np.int32) * 7
    found = Objects(image.shape)
    found.add((0, 0), image)
    (one,) = found.regions(Spacing((1, 1), "mm"))[1]
    (region,) = measure_regions(image > 0, Spacing((1, 1), "mm"))
    assert (one.pixels, one.centroid, one.low, one.high) == (
        region.pixels,
        region.centroid,
        region.low,
        region.high,
    )


def test_the_verb_tells_objects_by_number(tmp_path, command):
    Pillow.fromarray(labels()).save(tmp_path / "cells.png")
    rows, regions = hilum.measure([tmp_path / "cells.png"], objects=True)
    assert rows[0]["regions"] == len(np.unique(labels())) - 1
    assert [region["region"] for region in regions] == [number for number in np.unique(labels()) if number]
    done = command("measure", tmp_path / "cells.png", "--objects")
    assert done.code == 0
    assert f"{rows[0]['regions']} regions" in done.out


def test_volumes_of_objects(tmp_path):
    image = np.zeros((4, 5, 6), np.uint8)
    image[1:3, 1:3, 1:3], image[3, 4, 5] = 2, 9
    np.save(tmp_path / "a.npy", image[None])
    found = Objects(image.shape)
    found.add((0, 0, 0), image)
    numbers, regions = found.regions(Spacing((1, 1, 1), "mm"))
    assert numbers == [2, 9]
    assert [region.pixels for region in regions] == [8, 1]
    assert regions[1].touches_border


def test_numbers_that_are_none_are_refused():
    found = Objects((2, 2))
    with pytest.raises(HilumError, match="whole and from 1 on"):
        found.add((0, 0), np.array([[0.5, 0], [0, 1]]))
    with pytest.raises(HilumError, match="-1"):
        found.add((0, 0), np.array([[-1, 0], [0, 1]]))
    assert found.regions(Spacing((1, 1), "px")) == ([], [])


def test_huge_files_give_the_rows_of_small_ones(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    masks = {
        "plain": (rng.random((200, 300)) > 0.7) * np.uint8(255),
        "two": rng.integers(0, 3, (200, 300), np.uint8),
    }
    for name, mask in masks.items():
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", mask, tile=(64, 64), compression="zlib")
    tifffile.imwrite(tmp_path / "objects.ome.tif", labels(), tile=(16, 16))
    expected = [measure_files([tmp_path / f"{name}.ome.tif"], Spacing((0.5, 0.5), "um")) for name in masks]
    numbered = measure_files([tmp_path / "objects.ome.tif"], objects=True)
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1)
    monkeypatch.setattr("hilum.measurement.huge_files.ROWS", 37)
    monkeypatch.setattr("hilum.measurement.huge_files.COLUMNS", 100)
    found = [measure_files([tmp_path / f"{name}.ome.tif"], Spacing((0.5, 0.5), "um")) for name in masks]
    assert str(found) == str(expected)
    assert str(measure_files([tmp_path / "objects.ome.tif"], objects=True)) == str(numbered)
    assert found[0][0][0]["case"] == "plain"


def test_a_huge_picture_is_no_mask(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (90, 90, 3), np.uint8), tile=(64, 64))
    tifffile.imwrite(tmp_path / "b.tif", rng.integers(0, 255, (90, 90), np.uint8), tile=(64, 64))
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1)
    with pytest.raises(HilumError, match="3 channels") as caught:
        measure_files([tmp_path / "a.tif", tmp_path / "b.tif"])
    assert "are these masks" in str(caught.value)


@pytest.fixture
def huge(monkeypatch):
    """All TIFF files count as huge."""
    monkeypatch.setattr("hilum.image.pyramid.WHOLE_PIXELS", 1)


def test_huge_masks_of_imagej_are_not_inverted(tmp_path, disc, huge, caplog):
    mask = disc().astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "a.tif", mask, imagej=True, photometric="miniswhite")
    assert measure_files([tmp_path / "a.tif"])[0][0]["pixels"] == disc().sum()
    assert "WhiteIsZero" not in caplog.text


def test_other_huge_masks_with_white_as_0_are_inverted_with_a_warning(tmp_path, disc, huge, caplog):
    mask = 255 - disc().astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="miniswhite", metadata=None, software="scanner")
    assert measure_files([tmp_path / "a.tif"])[0][0]["pixels"] == disc().sum()
    assert "WhiteIsZero" in caplog.text


def test_huge_files_of_one_folder_are_coded_together(tmp_path, disc, huge):
    one, two = disc(centre=(20, 20), radius=9), disc(centre=(44, 44), radius=9)
    tifffile.imwrite(tmp_path / "a.tif", (one + 2 * two).astype(np.uint8))
    tifffile.imwrite(tmp_path / "b.tif", 2 * two.astype(np.uint8))
    rows = measure_files([tmp_path])[0]
    assert [(row["case"], row["target"], row["pixels"]) for row in rows] == [
        ("a", "index-1", one.sum()),
        ("a", "index-2", two.sum()),
        ("b", "index-1", 0),
        ("b", "index-2", two.sum()),
    ]


def test_one_damaged_huge_file_does_not_hide_the_others(tmp_path, disc, huge):
    tifffile.imwrite(tmp_path / "a.tif", disc().astype(np.uint8), compression="zlib")
    whole = tmp_path / "b.tif"
    tifffile.imwrite(whole, disc().astype(np.uint8), compression="zlib")
    content = bytearray(whole.read_bytes())
    content[-20:] = bytes(20)
    whole.write_bytes(content)
    with pytest.raises(HilumError, match=r"b\.tif") as caught:
        measure_files([tmp_path])
    assert "a.tif" not in str(caught.value)
