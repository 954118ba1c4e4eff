from pathlib import Path

import pytest

from hilum.errors import StudyError
from hilum.image.image import Geometry
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.study.study import Case, Mark, Source
from hilum.study.survey import check_marks_inside

MM = Spacing((2.0, 1.0, 1.0), "mm")
AWAY = Geometry((-100.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def check(centre, spacing=MM, geometry=None, shape=(4, 10, 10)):
    case = Case("a", Source(Path("a.npy")), marks=(Mark(centre, 5.0),))
    check_marks_inside(case, shape, spacing, geometry)


def test_a_mark_in_its_volume_passes():
    check((9.0, 9.0, 6.0))
    check((-91.0, 0.0, 0.0), geometry=AWAY)
    check((0.009, 0.0, 0.0), Spacing((2.0, 1.0, 1.0), "um"))


@pytest.mark.parametrize(
    ("centre", "spacing", "geometry"),
    [
        ((9.0, 9.0, 9.0), MM, None),
        ((9.0, 0.0, 0.0), MM, AWAY),
        ((9.0, 0.0, 0.0), Spacing((2.0, 1.0, 1.0), "um"), None),
    ],
)
def test_a_mark_outside_is_refused_before_training(centre, spacing, geometry):
    with pytest.raises(StudyError, match="lies outside the volume"):
        check(centre, spacing, geometry)


def test_without_millimetres_no_place_is_known():
    check((999.0, 0.0, 0.0), unknown_spacing(3))
