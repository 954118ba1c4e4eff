from pathlib import Path

import pytest

from hilum.errors import StudyError
from hilum.study.groups import OWN, assign_groups
from hilum.study.study import Case, Source, Study

ROOT = Path("/study")


def study_of(*paths, **groups):
    cases = tuple(
        Case(path.rpartition(".")[0], Source(ROOT / path), group=groups.get(path[0], "")) for path in paths
    )
    return Study(ROOT, "test", cases, grouping="")


def groups_of(study):
    return [case.group for case in study.cases]


@pytest.mark.parametrize(
    ("paths", "groups"),
    [
        (["12_KO_1.jpg", "12_KO_2.jpg", "6_WT_1.jpg"], ["12", "12", "6"]),
        (
            ["person1_bacteria_2.jpeg", "person1_virus_3.jpeg", "IM-0129-0001.jpeg"],
            ["person1", "person1", "IM-0129"],
        ),
        (["NORMAL2-IM-0259-0001.jpeg", "NORMAL2-IM-0259-0002.jpeg"], ["NORMAL2-IM-0259"] * 2),
        (["IM-1-0001.jpeg", "NORMAL2-IM-1-0001.jpeg", "IM-1-0002.jpeg"], ["IM-1", "NORMAL2-IM-1", "IM-1"]),
        (["LIDC-01/a.png", "LIDC-01/b.png", "LIDC-02/a.png"], ["LIDC-01", "LIDC-01", "LIDC-02"]),
        (
            ["patient01_f1.png", "patient01_f2.png", "patient02_f1.png"],
            ["patient01", "patient01", "patient02"],
        ),
        (["1_1.tif", "1_45.tif"], ["1", "1"]),
    ],
)
def test_guesses(paths, groups):
    study = assign_groups(study_of(*paths))
    assert groups_of(study) == groups
    assert "guessed" in study.grouping
    assert "->" in study.grouping


@pytest.mark.parametrize("paths", [["0000.png", "0001.png"], ["a.png", "b_1.png"], ["cat.png"]])
def test_nothing_is_guessed_where_names_say_nothing(paths):
    study = assign_groups(study_of(*paths))
    assert groups_of(study) == [case.name for case in study.cases]
    assert study.grouping == OWN


def test_kermany_names_of_different_patients_stay_apart():
    study = assign_groups(study_of("NORMAL2-IM-1-0001.jpg", "NORMAL2-IM-2-0001.jpg", "person3_virus_1.jpg"))
    assert groups_of(study) == ["NORMAL2-IM-1", "NORMAL2-IM-2", "person3"]
    assert "every image has another" in study.grouping


def test_pattern_with_and_without_group():
    study = study_of("a/12_KO_1.jpg", "b/12_WT_1.jpg")
    assert groups_of(assign_groups(study, "(KO|WT)_")) == ["KO", "WT"]
    assert groups_of(assign_groups(study, "^[ab]")) == ["a", "b"]


@pytest.mark.parametrize("pattern", ["(", "mouse(.)", "(x)?"])
def test_patterns_that_do_not_fit(pattern):
    with pytest.raises(StudyError, match="--group-by"):
        assign_groups(study_of("a/12_KO_1.jpg"), pattern)


def test_groups_of_the_table_are_kept():
    study = assign_groups(study_of("1_a.png", "2_b.png", **{"1": "P1"}))
    assert groups_of(study) == ["P1", "2_b"]
