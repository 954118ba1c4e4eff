from pathlib import Path

import numpy as np

from hilum.image.spacing import Spacing
from hilum.study.marked import mark_findings, mark_lines, mark_summary
from hilum.study.study import Case, Mark, Source, Study
from hilum.study.survey import Facts


def case(name, *marks):
    return Case(name, Source(Path(f"{name}.mhd")), marks=tuple(Mark(centre, wide) for centre, wide in marks))


def facts(name, low=-1000.0, sizes=(2.5, 0.7, 0.7)):
    grey = np.zeros((64, 64), np.float32)
    spacing = Spacing(sizes, "mm")
    return Facts(name, 1, (9, 9, 9), "int16", spacing, 0, low, 400.0, 0.0, 0.0, 0, grey)


def study(*cases):
    return Study(Path("luna"), "volumes with marks", cases, ("nodule",))


def test_every_mark_is_in_one_class_of_diameter():
    one = case("a", ((0, 0, 0), 4.0), ((50, 0, 0), 6.0), ((90, 0, 0), 15.0))
    found = mark_summary(study(one, case("b")))
    assert found["marks"] == 3
    assert (found["scans"], found["scans_with_marks"], found["fewest"], found["most"]) == (2, 1, 0, 3)
    assert list(found["by_diameter_mm"].values()) == [1, 1, 0, 1]
    assert found["diameter_mm"] == {"smallest": 4.0, "median": 6.0, "largest": 15.0}
    text = "\n".join(mark_lines(study(one, case("b"))))
    assert "Marks: 3 in 1 of 2 volumes, 0 to 3 each" in text
    assert "4.0 to 15.0 mm, median 6.0" in text


def test_a_study_without_marks_says_nothing():
    bare = study(Case("a", Source(Path("a.png"))))
    assert mark_summary(bare) == {}
    assert mark_lines(bare) == []
    assert mark_findings(bare, {}) == ()


def test_doubtful_marks_and_values_are_named():
    twice = case("twice", ((0, 0, 0), 10.0), ((4, 0, 0), 6.0))
    fine = case("fine", ((0, 0, 0), 10.0), ((5, 0, 0), 10.0))
    small = case("small", ((0, 0, 0), 4.9))
    bright = case("bright", ((0, 0, 0), 20.0))
    seen = {name: facts(name) for name in ("twice", "fine", "small")} | {"bright": facts("bright", low=0.0)}
    found = {finding.cases: finding for finding in mark_findings(study(twice, fine, small, bright), seen)}
    assert set(found) == {("twice",), ("small",), ("bright",)}
    assert found[("twice",)].severity == "warning"
    assert "marked twice" in found[("twice",)].message
    assert "narrower than 2 voxels" in found[("small",)].message
    assert "Hounsfield" in found[("bright",)].message


def test_findings_that_count_for_nothing_are_counted_apart():
    """LUNA16's annotations_excluded.csv has no diameters: -1."""
    excluded = tuple(Mark((place, 0.0, 0.0), -1.0, "excluded") for place in (0.0, 0.1, 50.0))
    one = Case("a", Source(Path("a.mhd")), marks=(Mark((0.0, 0.0, 0.0), 8.0), *excluded))
    other = Case("b", Source(Path("b.mhd")), marks=excluded)
    found = mark_summary(study(one, other))
    assert (found["marks"], found["scans_with_marks"], found["most"], found["other_findings"]) == (1, 1, 1, 6)
    assert found["diameter_mm"]["smallest"] == 8.0
    assert "6 other findings" in "\n".join(mark_lines(study(one, other)))
    assert mark_findings(study(one, other), {name: facts(name) for name in "ab"}) == ()
