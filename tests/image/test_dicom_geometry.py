from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.image.dicom_geometry import axes_of, position_of, slice_step, stack_geometry

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def header(position, orientation=CORONAL):
    return SimpleNamespace(ImagePositionPatient=list(position), ImageOrientationPatient=list(orientation))


def test_a_coronal_stack_goes_to_the_back():
    np.testing.assert_array_equal(axes_of(header((0, 0, 0)))[2], (0, 1, 0))
    assert position_of(header((5, 7, 9))) == 7
    assert np.isnan(position_of(SimpleNamespace()))
    geometry, notes = stack_geometry(header((5, 7, 9)), header((5, 27, 9)))
    assert geometry.origin == (5, 7, 9)
    np.testing.assert_array_equal(np.reshape(geometry.direction, (3, 3)), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    assert notes == ()


def test_steps():
    assert slice_step(Path("a"), np.array([0.0, 2.5, 5.0]), 9.0) == (2.5, ())
    assert slice_step(Path("a"), np.array([3.0]), 9.0)[0] == 9.0
    with pytest.raises(ImageError, match=r"between 5 and 10, 12\.5 and 20 mm"):
        slice_step(Path("a"), np.array([0.0, 2.5, 5.0, 10.0, 12.5, 20.0, 22.5]), 9.0)
