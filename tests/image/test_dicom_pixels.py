import numpy as np
import pytest

from hilum.image.dicom_pixels import rescaled


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32])
def test_whole_results_that_fit_are_int16(kind):
    stored = np.array([0, 7, 100], kind)
    values = rescaled(stored, 2, -1024)
    assert values.dtype == np.int16
    assert values.tolist() == [-1024, -1010, -824]


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0), (1, 0.25), (400, 0)])
def test_others_are_float32(slope, intercept):
    stored = np.array([1, 100, 65535], np.uint16)
    values = rescaled(stored, slope, intercept)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, stored * float(slope) + intercept)
