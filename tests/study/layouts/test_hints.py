import json

import pytest

from hilum.errors import StudyError
from hilum.study.open import understand

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 64, "width": 80}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}],
    "categories": [{"id": 1, "name": "cell"}],
}


def refused(folder):
    with pytest.raises(StudyError) as error:
        understand(folder)
    return str(error.value)


@pytest.mark.parametrize("inside", ["", "images", "xrays"])
def test_a_table_under_another_name_is_named_with_what_to_do(tmp_path, picture, save, inside):
    for seed in range(3):
        save(tmp_path / inside / f"{seed}.png", picture(seed))
    (tmp_path / "labels.csv").write_text("filename;diagnosis\n0.png;ill\n1.png;well\n2.png;ill\n")
    text = refused(tmp_path)
    assert "labels.csv (columns filename, diagnosis) was seen" in text
    assert "rename the table of labels to study.csv" in text
    assert f"such as {inside + '/' if inside else ''}0.png" in text


def test_a_table_of_marks_under_another_name_is_to_be_annotations_csv(tmp_path, picture, save):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "nodules.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,2,3,4\n")
    text = refused(tmp_path)
    assert "nodules.csv holds marks" in text
    assert "rename it to annotations.csv" in text
    assert "only study.csv" not in text


def test_without_tables_nothing_is_said_of_them(tmp_path, picture, save):
    save(tmp_path / "a.png", picture(0))
    text = refused(tmp_path)
    assert "no masks, marks or labels" in text
    assert "study.csv is read" not in text


@pytest.mark.parametrize("order", [list(COCO), list(reversed(COCO))])
def test_coco_json_is_not_read_and_told_of(tmp_path, picture, save, order):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "annotations.json").write_text(json.dumps({key: COCO[key] for key in order}))
    (tmp_path / "notes.json").write_text("{}")
    assert "annotations.json is COCO JSON, which is written here but not read: draw" in refused(tmp_path)


def test_a_table_that_is_no_text_does_no_harm(tmp_path, picture, save):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "labels.csv").write_bytes(b"\xff\x00\x01" * 9)
    assert "labels.csv" in refused(tmp_path)
