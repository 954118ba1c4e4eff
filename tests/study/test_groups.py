from dataclasses import replace
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
        (["Mouse 1 lung 2.png", "Mouse 1 lung 3.png", "Mouse 2 lung.png"], ["Mouse 1", "Mouse 1", "Mouse 2"]),
        (["1 lung 2.png", "1 lung 3.png", "12 lung 1.png"], ["1", "1", "12"]),
        (["week1/mouse3_a.png", "week1/mouse4_a.png", "week2/mouse3_a.png"], ["mouse3", "mouse4", "mouse3"]),
        (
            ["week1_mouse3_a.png", "week1_mouse4_a.png", "week2_mouse3_a.png"],
            ["mouse3", "mouse4", "mouse3"],
        ),
        (["day 1 set 2 rat-7 a.png", "day 2 rat-7 b.png", "day 2 rat-8 c.png"], ["rat-7", "rat-7", "rat-8"]),
        (["batch1_img3_a.png", "batch1_img4_a.png", "batch2_img3_a.png"], ["batch1", "batch1", "batch2"]),
        (["P1/day 1/a.png", "P1/day 2/a.png", "P2/day 1/a.png"], ["P1", "P1", "P2"]),
    ],
)
def test_guesses(paths, groups):
    study = assign_groups(study_of(*paths))
    assert groups_of(study) == groups
    assert "guessed" in study.grouping
    assert "->" in study.grouping


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("tile_{0:03}_slideA{1}", "slideA{1}"),
        ("tile_{0:03}_patient{1}_slideA1", "patient{1}"),
        ("aug{0}_img000{1}", "img000{1}"),
        ("frame_{0}_patient10{1}", "patient10{1}"),
        ("{0}_patient10{1}", "patient10{1}"),
        ("exp{0}_mouse10{1}", "mouse10{1}"),
        ("run{0}_mouse10{1}_a", "mouse10{1}"),
        ("x40_patient10{1}_{0}", "patient10{1}"),
        ("x{0}0_patient10{1}", "patient10{1}"),
        ("ch1_P10{1}_{0}", "P10{1}"),
        ("ch{0}_P10{1}_0", "P10{1}"),
        ("S21-111{1}_{0}", "111{1}"),
        ("21-111{1}_{0}", "111{1}"),
        ("img{1}_tile_{0}", "img{1}"),
        ("img{1}_a{0}", None),
        ("1{1}_slide3_{0}", "1{1}"),
        ("patient{1}_frame_{0}_x", "patient{1}"),
        ("patient{1}_tile_{0}_x1024", "patient{1}"),
    ],
)
def test_a_tile_a_frame_or_a_copy_is_not_taken_for_the_patient(names, groups):
    pairs = [(part, who) for part in (1, 2) for who in (1, 2, 3)]
    study = assign_groups(study_of(*(names.format(*pair) + ".png" for pair in pairs)))
    assert groups_of(study) == [(groups or "img{1}").format(*pair) for pair in pairs]
    assert study.findings == ()


@pytest.mark.parametrize("name", ["tile_00{}_x1024.png", "frame_{}_a1.png", "tile_00{}_x1024_y7.png"])
def test_a_tile_or_a_frame_stays_a_group_where_nothing_better_follows(name):
    study = assign_groups(study_of(*(name.format(number) for number in range(4))))
    assert len(set(groups_of(study))) == 4


def test_what_all_names_begin_with_alone_stays_the_group():
    assert groups_of(assign_groups(study_of("1_1.png", "1_2.png"))) == ["1", "1"]


def test_a_patient_in_several_guessed_groups_is_warned_of():
    names = [f"site{site}_b_mouse{who}_{at}.png" for site in (1, 2) for who in (3, 4) for at in "ab"]
    (finding,) = assign_groups(study_of(*names)).findings
    assert finding.severity == "warning"
    assert (
        "mouse3, mouse4 are in the names of several guessed groups (such as site1, site2)" in finding.message
    )


FIVE = [f"{patient}_{frame}.jpg" for patient in range(1, 6) for frame in (1, 2)]


def test_one_odd_name_does_not_switch_the_guess_off():
    study = assign_groups(study_of(*FIVE, "copy_of.jpg"))
    assert groups_of(study) == [*"1122334455", "copy_of"]
    assert "leading number" in study.grouping
    assert "1_1 -> 1" in study.grouping
    (finding,) = study.findings
    assert (finding.severity, finding.cases) == ("warning", ("copy_of",))
    assert "1 of 11 images" in finding.message
    assert "--group-by" in finding.message


def test_an_example_is_of_a_name_that_fits():
    study = assign_groups(study_of("a_copy.jpg", *FIVE))
    assert "1_1 -> 1" in study.grouping


def test_a_guess_that_fits_too_few_names_is_told_of():
    study = assign_groups(study_of(*FIVE, *(f"copy_{letter}.jpg" for letter in "abcde")))
    assert groups_of(study) == [case.name for case in study.cases]
    assert study.grouping == OWN
    (finding,) = study.findings
    assert "fits 10 of 15 images only, not copy_a" in finding.message


def test_names_that_all_fit_are_no_finding():
    assert assign_groups(study_of(*FIVE)).findings == ()


@pytest.mark.parametrize(
    "paths",
    [
        ["Patient A/img_0.png", "Patient A/img_1.png", "Patient B/img_0.png", "Patient B/img_1.png"],
        [f"images/{who}/{frame}_x.png" for who in ("Anna", "Ben") for frame in (1, 2)],
        [f"train/images/{who}/{frame}.png" for who in ("Anna", "Ben") for frame in "abc"],
    ],
)
def test_folders_without_a_number_are_groups(paths):
    study = assign_groups(study_of(*paths))
    assert groups_of(study) == [path.split("/")[-2] for path in paths]
    assert "the folder is the group" in study.grouping
    assert study.findings == ()


def test_a_patient_of_one_image_keeps_the_folders():
    study = assign_groups(
        study_of(*(f"{who}/{at}.png" for who in ("Anna", "Ben") for at in "abc"), "Cy/a.png")
    )
    assert groups_of(study)[-1] == "Cy"


@pytest.mark.parametrize(
    "folders",
    [
        ("benign", "malignant"),
        ("train", "test"),
        ("images", "Anna"),
        ("Original_0.2", "raw"),
        ("KO", "WT"),
        ("nerve_masks", "Anna"),
        ("nerve", "Anna"),
    ],
)
def test_folders_that_say_what_is_in_them_are_no_groups(folders):
    study = study_of(*(f"{folder}/{frame}.png" for folder in folders for frame in "abc"))
    study = assign_groups(replace(study, targets=("nerve",)))
    assert study.grouping == OWN


def test_class_folders_are_no_groups_but_patients_in_them_are():
    classes = ("cat", "dog")
    flat = study_of(*(f"{name}/{frame}.png" for name in classes for frame in "abc"))
    assert assign_groups(replace(flat, classes=classes)).grouping == OWN
    deep = study_of(*(f"{name}/of {name} {who}/{at}.png" for name in classes for who in "AB" for at in "abc"))
    study = assign_groups(replace(deep, classes=classes))
    assert set(groups_of(study)) == {"of cat A", "of cat B", "of dog A", "of dog B"}


def test_folders_of_one_case_each_are_no_groups():
    assert assign_groups(study_of("Anna/image.png", "Ben/image.png")).grouping == OWN


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


@pytest.mark.parametrize(
    "name", ["week{}", "Day_{}", "visit-{}", "session {}", "timepoint{}", "tp{}", "fold{}", "batch{}"]
)
def test_folders_numbered_by_time_or_by_chance_are_no_groups(name):
    paths = [f"{name.format(number)}/{letter}.png" for number in (1, 2) for letter in "abc"]
    assert assign_groups(study_of(*paths)).grouping == OWN


def test_groups_in_two_spellings_are_warned_of():
    study = study_of(*(f"{name}.png" for name in "abcde"))
    given = ("mouse 1", "Mouse_1", "mouse 1", "mouse 2", "mouse 11")
    cases = tuple(replace(case, group=group) for case, group in zip(study.cases, given, strict=True))
    (finding,) = assign_groups(replace(study, cases=cases, grouping="table")).findings
    assert (finding.severity, finding.cases) == ("warning", ("b",))
    assert "groups 'mouse 1' and 'Mouse_1' (2 images and 1)" in finding.message
