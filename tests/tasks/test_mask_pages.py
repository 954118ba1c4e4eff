import math

import pytest

from hilum.tasks.mask_pages import _read_rows, _worth


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
