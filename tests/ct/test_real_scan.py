"""The whole of a real scan: LIDC-IDRI-0001, with its outlines and its mask."""

import numpy as np
import pytest

from hilum.ct.coordinates import spacing_mm
from hilum.ct.lidc import matched, outlines_mask, parse_reading
from hilum.ct.lungs import LEFT, lung_mask
from hilum.ct.nodules import measure_nodules
from hilum.image.dicom import read_series
from hilum.image.readers import probe, read_image
from hilum.image.volume import read_volume, write_volume

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def folder(data):
    return data / "ct_lidc_0001"


@pytest.fixture(scope="module")
def scan(folder):
    return read_series(folder / "LIDC-IDRI-0001.zip")


@pytest.fixture(scope="module")
def given(folder):
    return read_volume(folder / "nodule_mask" / "LIDC-IDRI-0001_R_1.nii.gz")


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_units_and_geometry(scan, folder):
    assert scan.array.shape == (1, 133, 512, 512)
    assert scan.array.dtype == np.int16
    assert scan.array.min() == -2048
    assert scan.spacing.sizes == (2.5, 0.703125, 0.703125)
    assert scan.geometry.origin == (-166.0, -171.699997, -340.0)
    assert np.median(scan.array[0, 60, 200:300, 230:280]) > 0
    header = probe(folder / "LIDC-IDRI-0001.zip")
    assert (header.channels, *header.shape) == scan.array.shape
    assert read_image(folder / "LIDC-IDRI-0001.zip").array.shape == scan.array.shape


def test_the_given_mask_lies_on_the_same_grid(scan, given):
    assert given.array.shape == scan.array.shape
    np.testing.assert_allclose(given.geometry.origin, scan.geometry.origin, atol=1e-5)
    np.testing.assert_allclose(given.geometry.direction, scan.geometry.direction, atol=1e-6)
    np.testing.assert_allclose(given.spacing.sizes, scan.spacing.sizes)
    assert (given.array > 0).sum() == 6547


@pytest.mark.parametrize("suffix", [".mhd", ".nii.gz"])
def test_written_and_read_back_bit_for_bit(scan, tmp_path, suffix):
    write_volume(tmp_path / f"scan{suffix}", scan)
    back = read_volume(tmp_path / f"scan{suffix}")
    assert back.array.dtype == scan.array.dtype
    assert np.array_equal(back.array, scan.array)
    np.testing.assert_allclose(
        back.geometry.origin, scan.geometry.origin, atol=0 if suffix == ".mhd" else 1e-4
    )
    assert back.spacing == scan.spacing


def test_outlines_agree_with_the_given_mask(scan, given, folder):
    reading = parse_reading(folder / "LIDC-IDRI-0001_69.xml")
    truth = given.array[0] > 0
    assert (reading.readers, len(reading.nodules)) == (4, 4)
    assert [len(group) for group in matched(reading, scan)] == [4]
    assert np.array_equal(outlines_mask(reading, scan, 1), truth)
    assert dice(outlines_mask(reading, scan, 2), truth) > 0.9
    assert dice(outlines_mask(reading, scan, 3), truth) > 0.8


def test_lungs_hold_the_nodule(scan, given):
    lungs = lung_mask(scan)
    truth = given.array[0] > 0
    assert lungs.mask[truth].mean() > 0.99
    assert lungs.warnings == ()
    assert 3.4 < lungs.volume_l < 4.2
    air = ((scan.array[0] < -500) & lungs.mask).sum() * np.prod(spacing_mm(scan)) / 1e6
    assert 0.9 < air / lungs.volume_l < 1
    assert (lungs.sides[truth] == LEFT).mean() > 0.99
    (nodule,) = measure_nodules(truth, scan, lungs)
    assert nodule.side == "left"
    assert 24 < nodule.diameter_mm < 26
    assert nodule.wall_mm < 1
