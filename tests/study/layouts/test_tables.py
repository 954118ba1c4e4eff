import math

import numpy as np
import pytest

from hilum.errors import StudyError
from hilum.image.spacing import Spacing
from hilum.study.masks import read_case_image
from hilum.study.open import understand


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
