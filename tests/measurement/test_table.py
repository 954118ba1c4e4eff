import csv

import numpy as np
import openpyxl
import pandas as pd
import pytest

from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.table import measure_masks, size_unit, write_tables

MASK = np.zeros((10, 20), bool)
MASK[2:4, 3:8] = True  # 10 pixels
MASK[9, 0:5] = True  # 5 pixels at the border


def test_row_by_hand():
    rows, regions = measure_masks("slide 1", {"Parenchyma": MASK}, Spacing((0.5, 2.0), "um"))
    assert rows == [
        {
            "case": "slide 1",
            "target": "Parenchyma",
            "pixels": 15,
            "share_percent": 7.5,
            "area": 15.0,
            "unit": "µm²",
            "regions": 2,
            "touches_border": True,
        }
    ]
    assert [row["pixels"] for row in regions] == [10, 5]
    assert regions[0]["region"] == 1
    assert (regions[0]["centroid_y_px"], regions[0]["centroid_x_px"]) == (2.5, 5.0)
    assert (regions[0]["from_y_px"], regions[0]["to_x_px"]) == (2, 8)
    assert regions[0]["diameter_unit"] == "µm"
    assert [row["touches_border"] for row in regions] == [False, True]


def test_unknown_spacing_is_px():
    rows, _ = measure_masks("a", {"t": MASK}, unknown_spacing(2))
    assert (rows[0]["area"], rows[0]["unit"]) == (15.0, "px²")


def test_volumes_in_mm3_and_ml():
    mask = np.zeros((20, 100, 100), bool)
    mask[5:15, 20:60, 20:70] = True  # 20,000 voxels
    rows, regions = measure_masks("ct", {"lung": mask}, Spacing((2.0, 0.5, 0.5), "mm"))
    assert rows[0]["volume"] == pytest.approx(10_000)
    assert rows[0]["volume_ml"] == pytest.approx(10)
    assert rows[0]["unit"] == "mm³"
    assert "area" not in rows[0]
    assert regions[0]["centroid_z_px"] == 9.5
    in_um, _ = measure_masks("ct", {"lung": mask}, Spacing((2000.0, 500.0, 500.0), "um"))
    assert in_um[0]["volume_ml"] == pytest.approx(10)
    unknown, _ = measure_masks("ct", {"lung": mask}, unknown_spacing(3))
    assert unknown[0]["unit"] == "px³"
    assert "volume_ml" not in unknown[0]


def test_an_empty_mask_keeps_its_row():
    rows, regions = measure_masks("a", {"t": np.zeros((4, 4), bool)}, unknown_spacing(2))
    assert (rows[0]["pixels"], rows[0]["regions"], rows[0]["touches_border"]) == (0, 0, False)
    assert regions == []


def test_units():
    assert size_unit(unknown_spacing(2)) == "px²"
    assert size_unit(Spacing((1.0, 1.0, 1.0), "mm")) == "mm³"


def write(folder, *cases):
    rows, regions = [], []
    for case in cases:
        found = measure_masks(case, {"t": MASK}, Spacing((0.3, 0.3), "um"), {"t": np.full(MASK.shape, 0.7)})
        rows += found[0]
        regions += found[1]
    write_tables(rows, regions, folder)
    return rows, regions


def test_files_hold_what_was_measured(tmp_path):
    rows, regions = write(tmp_path, "one", "zwölf, µ")
    read = pd.read_csv(tmp_path / "measurements.csv")
    assert read["case"].tolist() == ["one", "zwölf, µ"]
    assert read["area"].tolist() == pytest.approx([row["area"] for row in rows])
    assert (tmp_path / "measurements.csv").read_text("utf-8").splitlines()[
        1
    ] == "one,t,15,7.5,1.35,µm²,2,True"
    assert len(pd.read_csv(tmp_path / "regions.csv")) == len(regions) == 4
    book = openpyxl.load_workbook(tmp_path / "measurements.xlsx")
    assert book.sheetnames == ["Measurements", "Regions"]
    sheet = book["Measurements"]
    assert [cell.value for cell in sheet[1]] == list(rows[0])
    assert sheet["A1"].font.bold
    assert sheet.freeze_panes == "A2"
    assert sheet["E2"].value == pytest.approx(1.35)
    assert sheet.column_dimensions["D"].width >= len("share_percent")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "measurements.csv", "measurements.xlsx", "regions.csv"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@SUM(A1)", '=HYPERLINK("http://x")', "\tx"])
def test_no_formula_gets_in(tmp_path, name):
    write(tmp_path, name)
    with (tmp_path / "measurements.csv").open(encoding="utf-8", newline="") as handle:
        assert list(csv.reader(handle))[1][0] == f"'{name}"
    cell = openpyxl.load_workbook(tmp_path / "measurements.xlsx")["Measurements"]["A2"]
    assert cell.data_type == "s"
    assert cell.value == name
    assert cell.quotePrefix


def test_names_no_table_can_hold(tmp_path):
    write(tmp_path, "a\x00b\udcff")
    assert pd.read_csv(tmp_path / "measurements.csv")["case"][0] == "a?b?"
    assert openpyxl.load_workbook(tmp_path / "measurements.xlsx")["Measurements"]["A2"].value == "a?b?"


def test_no_rows_still_make_tables(tmp_path):
    write_tables([], [], tmp_path)
    assert pd.read_csv(tmp_path / "regions.csv").columns.tolist() == ["case", "target"]


def test_more_rows_than_excel_holds(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("hilum.measurement.table.EXCEL_ROWS", 3)
    write(tmp_path, "a", "b")
    assert len(pd.read_csv(tmp_path / "regions.csv")) == 4
    assert openpyxl.load_workbook(tmp_path / "measurements.xlsx")["Regions"].max_row == 3
    assert "Excel holds the first 2" in caplog.text
