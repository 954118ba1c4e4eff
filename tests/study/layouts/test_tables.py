import math
import unicodedata

import numpy as np
import pytest

from hilum.errors import StudyError
from hilum.image.spacing import Spacing
from hilum.study.masks import read_case_image
from hilum.study.open import open_study, understand


@pytest.fixture
def folder(tmp_path, picture, save, disc):
    for name in "abc":
        save(tmp_path / "img" / f"{name}.png", picture(ord(name)))
        save(tmp_path / "msk" / f"{name}.png", disc((64, 80)).astype(np.uint8) * 255)
    return tmp_path


def write(folder, *lines):
    (folder / "study.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    return folder


def test_targets_group_split_and_spacing(folder):
    write(
        folder,
        "image,nerve,group,split,spacing",
        "img/a.png,msk/a.png,P1,train,0.5um",
        "img/b.png,,P1,train,",
        "img/c.png,msk/c.png,P2,test,0.5x0.7mm",
    )
    study = understand(folder)
    assert study.targets == ("nerve",)
    assert [case.group for case in study.cases] == ["P1", "P1", "P2"]
    assert [case.split for case in study.cases] == ["train", "train", "test"]
    assert "nerve" not in study.cases[1].masks
    assert read_case_image(study.cases[0]).spacing == Spacing((0.5, 0.5), "um")
    assert read_case_image(study.cases[2]).spacing == Spacing((0.5, 0.7), "mm")


def test_label_column_is_exclusive(folder):
    study = understand(write(folder, "image;label", "img/a.png;cat", "img/b.png;dog", "img/c.png;"))
    assert study.classes == ("cat", "dog")
    assert study.exclusive
    assert study.cases[0].labels == {"cat": 1.0, "dog": 0.0}
    assert all(math.isnan(value) for value in study.cases[2].labels.values())


def test_columns_of_flags_are_multi_label_with_unknowns(folder):
    study = understand(
        write(folder, "image,mass,fluid,note", "img/a.png,1,0,x", "img/b.png,,1,y", "img/c.png,0,0,z")
    )
    assert study.classes == ("mass", "fluid")
    assert not study.exclusive
    assert math.isnan(study.cases[1].labels["mass"])
    assert any("note" in finding.message for finding in study.findings)


def test_several_labels_in_a_cell(folder):
    study = understand(
        write(folder, "image,labels", "img/a.png,mass|fluid", "img/b.png,mass", "img/c.png,fluid")
    )
    assert not study.exclusive
    assert study.cases[0].labels == {"fluid": 1.0, "mass": 1.0}


@pytest.mark.parametrize(
    "path", ["../out.png", "/etc/out.png", "img/../../out.png", "C:\\out.png", "..\\out.png"]
)
def test_paths_may_not_leave_the_folder(folder, path):
    with pytest.raises(StudyError, match="leave the folder"):
        understand(write(folder, "image,label", f"{path},cat", "img/b.png,dog"))


ROWS = ("img/a.png,cat", "img/b.png,dog", "img/c.png,cat")


@pytest.mark.parametrize(
    "column", ["patient", "Patient ID", "PatientID", "subject_id", "animal", "mouse_id", "slide-id"]
)
def test_a_column_of_patients_is_the_group(folder, column):
    lines = [f"{row},{who}" for row, who in zip(ROWS, ("P1", "P1", "P2"), strict=True)]
    study = understand(write(folder, f"image,label,{column}", *lines))
    assert [case.group for case in study.cases] == ["P1", "P1", "P2"]
    assert study.grouping == f"column `{column}` of the table"
    finding = study.findings[0]
    assert (finding.severity, f"{column} as group" in finding.message) == ("note", True)


def test_the_patient_is_the_group_before_the_slide_and_a_group_before_both(folder):
    lines = [f"{row},S{at},P{at // 2}" for at, row in enumerate(ROWS)]
    assert understand(write(folder, "image,label,slide,patient", *lines)).groups == ("P0", "P1")
    study = understand(write(folder, "image,label,group,patient", *lines))
    assert study.groups == ("S0", "S1", "S2")
    assert any("not used: patient" in finding.message for finding in study.findings)


def test_numbers_of_patients_are_groups_beside_labels_and_a_column_of_flags_alone_is_a_class(folder):
    lines = [f"{row},{at % 2}" for at, row in enumerate(ROWS)]
    assert understand(write(folder, "image,label,patient", *lines)).groups == ("0", "1")
    flags = [f"{row.partition(',')[0]},{at % 2},1" for at, row in enumerate(ROWS)]
    assert understand(write(folder, "image,mouse,rat", *flags)).classes == ("mouse", "rat")


@pytest.mark.parametrize("image", ["filename", "File", "image_path", "Path"])
@pytest.mark.parametrize("label", ["diagnosis", "Class"])
def test_columns_under_other_names(folder, image, label):
    study = understand(write(folder, f"{image},{label}", *ROWS))
    assert study.classes == ("cat", "dog")
    assert study.exclusive
    finding = study.findings[0]
    assert f"{image} as image, {label} as label" in finding.message


def test_our_own_columns_come_first(folder):
    lines = [f"{row.partition(',')[0]},{row},ill" for row in ROWS]
    study = understand(write(folder, "filename,image,label,diagnosis", *lines))
    assert (study.targets, study.classes) == ((), ("cat", "dog"))
    assert any("not used: filename, diagnosis" in finding.message for finding in study.findings)


def test_a_diagnosis_of_flags_stays_one_class_and_beside_masks_none(folder):
    lines = [f"{row.partition(',')[0]},{at % 2}" for at, row in enumerate(ROWS)]
    assert understand(write(folder, "image,diagnosis", *lines)).classes == ("diagnosis",)
    study = understand(write(folder, "image,nerve,diagnosis", *(f"{line},ill" for line in WITH_MASKS)))
    assert (study.targets, study.classes) == (("nerve",), ())


def test_the_files_of_a_scan_are_used_where_its_folder_is(folder, save, disc):
    for number in range(3):
        save(folder / "scans" / "P1" / f"{number}.png", disc((64, 80)).astype(np.uint8) * 255)
    study = understand(write(folder, "image,label", "scans/P1,cat", "img/a.png,dog"))
    (finding,) = study.findings
    assert "scans" not in finding.message
    assert "img/ (2)" in finding.message


def test_many_missing_files_are_shortened_and_looked_for(folder):
    lines = [f"{letter}.png,cat" for letter in "abcdefghijklmnopqrst"]
    with pytest.raises(StudyError) as error:
        understand(write(folder, "image,label", *lines))
    text = str(error.value)
    assert "f.png (line 7) and 14 more" in text
    assert "g.png" not in text
    assert "files of 3 such names lie in img/, msk/: write img/a.png" in text


def test_missing_files_without_a_suffix_are_looked_for(folder):
    with pytest.raises(StudyError, match=r"1 such name lie in .* write img/a\.png"):
        understand(write(folder, "image,label", "a,cat", "zz,dog"))


def test_all_missing_files_are_listed_at_once(folder):
    with pytest.raises(StudyError) as error:
        understand(write(folder, "image,label", "img/x.png,cat", "img/y.png,dog", "img/a.png,dog"))
    assert "img/x.png (line 2)" in str(error.value)
    assert "img/y.png (line 3)" in str(error.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["picture,label", "img/a.png,1"], "column `image`"),
        (["image,label"], "no rows"),
        (["image,label", "img/a.png"], "lines 2"),
        (["image,comment", "img/a.png,hello"], "no column says"),
        (["image,label,split", "img/a.png,x,later"], "later"),
        (["image,label,spacing", "img/a.png,x,wide"], "wide"),
        (["image,label,spacing", 'img/a.png,x,"1,5um"'], "write 1.5um"),
    ],
)
def test_tables_that_say_nothing(folder, lines, words):
    with pytest.raises(StudyError, match=words):
        understand(write(folder, *lines))


WITH_MASKS = ("img/a.png,msk/a.png", "img/b.png,msk/b.png", "img/c.png,msk/c.png")


@pytest.mark.parametrize(
    ("column", "cells"), [("comment", ("", "", "")), ("diabetic", ("1", "0", "0")), ("age", ("61", "7", "1"))]
)
def test_columns_beside_masks_are_no_classes(folder, column, cells):
    lines = [f"{line},{cell}" for line, cell in zip(WITH_MASKS, cells, strict=True)]
    study = open_study(write(folder, f"image,nerve,{column}", *lines))
    assert (study.targets, study.classes) == (("nerve",), ())
    assert all(not case.labels for case in study.cases)
    assert any(f"not used: {column}" in finding.message for finding in study.findings)


def test_labels_beside_masks_stay_classes(folder):
    lines = [f"{line},{cell}" for line, cell in zip(WITH_MASKS, ("ill", "well", "ill"), strict=True)]
    study = understand(write(folder, "image,nerve,label", *lines))
    assert (study.targets, study.classes) == (("nerve",), ("ill", "well"))


def test_empty_columns_are_no_classes(folder):
    study = understand(write(folder, "image,mass,comment", "img/a.png,1,", "img/b.png,0,", "img/c.png,1,"))
    assert study.classes == ("mass",)
    assert any("not used: comment" in finding.message for finding in study.findings)


@pytest.mark.parametrize("word", ["NA", "na", "N/A", "nan", "NaN", "null", "NULL"])
def test_words_for_nothing_are_no_class(folder, word):
    study = understand(write(folder, "image,label", "img/a.png,cat", f"img/b.png, {word} ", "img/c.png,dog"))
    assert study.classes == ("cat", "dog")
    assert study.exclusive
    assert all(math.isnan(value) for value in study.cases[1].labels.values())
    assert any(f"1 cell taken as unknown ({word})" in finding.message for finding in study.findings)


def test_a_class_may_be_called_none(folder):
    study = understand(write(folder, "image,label", "img/a.png,none", "img/b.png,mild", "img/c.png,none"))
    assert study.classes == ("mild", "none")
    assert study.cases[0].labels == {"mild": 0.0, "none": 1.0}


@pytest.mark.parametrize("word", ["NA", "n/a", "null", "none", "NaN", "-1", "-1.0", ""])
def test_unknown_flags_do_not_lose_their_class(folder, word):
    study = understand(
        write(folder, "image,mass,fluid", f"img/a.png,1,{word}", "img/b.png,0,1", "img/c.png,1,0")
    )
    assert study.classes == ("mass", "fluid")
    assert math.isnan(study.cases[0].labels["fluid"])
    assert not any("fluid" in finding.message for finding in study.findings)


@pytest.mark.parametrize("word", ["NA", "none"])
def test_a_mask_that_is_not_there_may_be_written_in_words(folder, word):
    study = understand(write(folder, "image,nerve", "img/a.png,msk/a.png", f"img/b.png,{word}"))
    assert study.targets == ("nerve",)
    assert "nerve" not in study.cases[1].masks


def five(*cells):
    return [f"img/{'abc'[at % 3]}.png,{at % 2},{cell}" for at, cell in enumerate(cells)]


def test_a_class_is_not_lost_over_an_odd_cell(folder):
    write(folder, "image,mass,fluid", *five("1", "0", "1", "perhaps", "0"))
    (finding,) = [one for one in understand(folder).findings if one.severity == "error"]
    for words in ("study.csv", "column fluid", "perhaps", "line 5", "write 0 or 1"):
        assert words in finding.message
    with pytest.raises(StudyError, match="column fluid"):
        open_study(folder)


def test_an_odd_cell_in_the_only_class_is_told_as_such(folder):
    write(folder, "image,fluid", *(f"img/a.png,{cell}" for cell in ("1", "0", "1", "perhaps", "0")))
    with pytest.raises(StudyError, match="holds 0 and 1 but for perhaps"):
        understand(folder)


def test_other_numbers_are_not_taken_for_flags(folder):
    study = understand(write(folder, "image,mass,age", *five("1", "55", "0", "8", "1")))
    assert study.classes == ("mass",)
    assert {finding.severity for finding in study.findings} == {"note"}


@pytest.mark.parametrize("number", [2, 5])
def test_a_target_is_not_lost_over_an_odd_cell(folder, number):
    rows = [f"img/{name}.png,msk/{name}.png,msk/{name}.png" for name in "abcab"[:number]]
    write(folder, "image,Lung,Tumour", *rows[:-1], "img/c.png,msk/c.png,-")
    study = understand(folder)
    assert study.targets == ("Lung",)
    (finding,) = [one for one in study.findings if one.severity == "error"]
    for words in ("study.csv", "column Tumour", "but for - ", f"line {number + 1}", "leave the cell empty"):
        assert words in finding.message
    with pytest.raises(StudyError, match="column Tumour"):
        open_study(folder)


def test_an_odd_cell_in_the_only_target_is_told_as_such(folder):
    write(folder, "image,Tumour", "img/a.png,msk/a.png", "img/b.png,?")
    with pytest.raises(StudyError, match=r"column Tumour holds files of masks but for \?"):
        understand(folder)


def test_separators_at_the_ends_of_lines_are_no_columns(folder):
    study = understand(write(folder, "image;label;;", "img/a.png;cat;;", "img/b.png;dog;", "img/c.png;cat"))
    assert study.classes == ("cat", "dog")
    with pytest.raises(StudyError, match="lines 2 do not have 2 cells"):
        understand(write(folder, "image;label;;", "img/a.png;cat;;x", "img/b.png;dog;;"))


@pytest.mark.parametrize(("typed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_with_accents_is_found_however_it_is_composed(folder, typed, stored):
    there, written = (unicodedata.normalize(form, "é").join("xy") for form in (stored, typed))
    (folder / "msk").rename(folder / there)
    (folder / "img" / "a.png").rename(folder / "img" / f"{there}.png")
    write(folder, "image,nerve", f"img/{written}.png,{written}/a.png", f"img/b.png,{written}/b.png")
    study = open_study(folder)
    assert study.cases[0].image.path == folder / "img" / f"{there}.png"
    assert study.cases[1].masks["nerve"].sources[0].path == folder / there / "b.png"


def test_folders_named_by_a_uid_keep_their_whole_names(folder):
    for uid in ("2.25.71", "2.25.72"):
        (folder / uid).mkdir()
    write(folder, "image,label", "2.25.71,a", "2.25.72,b")
    assert [case.name for case in understand(folder).cases] == ["2.25.71", "2.25.72"]
