import math

import numpy as np
import pytest

from hilum.files import write_rows
from hilum.image.image import Image
from hilum.image.spacing import Spacing
from hilum.image.volume import write_volume
from hilum.study.study import Case, Source, Study
from hilum.tasks.mask_pages import _dice_in_words, _order, _read_rows, _sized, _worth


def test_names_like_numbers_and_gaps_stay_names(tmp_path):
    """Pictures and plots are found by name: 001 is not 1, and NA is a name too."""
    path = tmp_path / "cases.csv"
    path.write_text("case,group,target,unit,dice,pixels\n001,01,1,px,0.5,7\nNA,null,2,px,,0\n")
    first, second = _read_rows(path)
    assert (first["case"], first["group"], first["target"]) == ("001", "01", "1")
    assert (first["dice"], first["pixels"]) == (0.5, 7)
    assert (second["case"], second["group"]) == ("NA", "null")
    assert math.isnan(second["dice"])


def test_tables_without_some_of_the_columns_are_read_too(tmp_path):
    (tmp_path / "t.csv").write_text("case,pixels\n007,3\n")
    assert _read_rows(tmp_path / "t.csv") == [{"case": "007", "pixels": 3}]


def test_a_false_mask_is_as_bad_as_a_missed_one_and_none_rightly_the_best():
    def row(dice, truth, predicted):
        return {"dice": dice, "truth_pixels": truth, "predicted_pixels": predicted}

    assert _worth([row(0.0, 0, 90)]) == _worth([row(0.0, 90, 0)]) == 0
    assert _worth([row(1.0, 0, 0)]) == 1
    assert _worth([row(0.8, 9, 9), row(math.nan, 0, 0)]) == pytest.approx(0.9)
    assert _order([row(0.0, 0, 90)]) < _order([row(0.0, 5, 0)]) < _order([row(0.5, 99, 99)])
    assert _dice_in_words(row(0.0, 0, 1234)) == "none there, 1,234 pixels marked"


def scored(case, truth, predicted, target="ball"):
    return {"case": case, "target": target, "dice": 0.5, "truth_pixels": truth, "predicted_pixels": predicted}


def size_of(row):
    return row["true_size"], row["predicted_size"], row["size_unit"]


def test_areas_and_volumes_are_in_the_unit_of_each_image(tmp_path):
    """From the rows that were measured; from the image where nothing was marked in it."""
    write_volume(
        tmp_path / "quiet.nii.gz", Image(np.zeros((1, 3, 4, 4), np.int16), Spacing((2.0, 1, 1), "mm"))
    )
    study = Study(tmp_path, "pairs", (Case("quiet", Source(tmp_path / "quiet.nii.gz")),))
    measured = [
        {"case": "scan", "target": "ball", "pixels": 4, "volume": 6.0, "unit": "mm³"},
        {"case": "'=photo", "target": "ball", "pixels": 10, "area": 2.5, "volume": math.nan, "unit": "µm²"},
        {"case": "quiet", "target": "ball", "pixels": 0, "volume": 0.0, "unit": "mm³"},
    ]
    rows = [scored("scan", 8, 4), scored("scan", 2, 0, "rim"), scored("=photo", 4, 10), scored("quiet", 5, 0)]
    sizes = [size_of(row) for row in _sized(rows, measured, study)]
    assert sizes[0] == pytest.approx((12.0, 6.0, "mm³"))
    assert sizes[1] == (3.0, 0.0, "mm³")
    assert sizes[2] == (1.0, 2.5, "µm²")
    assert sizes[3] == (10.0, 0.0, "mm³")


def test_cases_without_the_target_have_an_area_but_no_dice(tmp_path):
    measured = [{"case": "a", "target": "ball", "pixels": 3, "area": 3.0, "unit": "px²"}]
    (row,) = _sized([scored("a", 0, 3)], measured, Study(tmp_path, "pairs", ()))
    assert size_of(row) == (0.0, 3.0, "px²")
    assert math.isnan(row["dice"])


def test_a_table_without_a_row_is_none(tmp_path):
    """As of a study of one image, which nothing is left of to score on."""
    write_rows(tmp_path / "cases.csv", [])
    assert _read_rows(tmp_path / "cases.csv") == []
