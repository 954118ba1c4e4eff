import math

from hilum.reporting.blocks import Callout, Figure, Table
from hilum.reporting.page import render
from hilum.reporting.score_sections import segmentation_scores_section

SUMMARY = {
    "targets": {
        "Parenchyma": {
            "dice": {"mean": 0.94216, "pooled": 0.95, "interval": [0.92, 0.96], "cases": 14},
            "jaccard": 0.89,
            "hd95": {"mean": 12.3456, "unit": "µm"},
            "dice_at": {"0.2": 0.93, "0.8": {"mean": math.nan}},
            "threshold": 0.42,
        },
        "Severe": {
            "dice": {"mean": None, "interval": None, "cases": 0},
            "empty": {"cases": 2, "false_positive_share": 0.0123},
        },
    }
}


def tables(section):
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}


def titles(section):
    return [block.title for block in section.blocks if isinstance(block, Figure)]


def test_segmentation_scores_come_with_cases_interval_threshold_and_unit():
    found = tables(segmentation_scores_section(SUMMARY))
    overlap = found["Overlap"]
    shown = dict(zip(overlap.columns, (text for text, _ in overlap.shown(overlap.rows[0])), strict=True))
    assert shown["Dice"] == "0.942"
    assert shown["95 % interval"] == "[0.920, 0.960]"
    assert shown["Cases"] == "14"
    assert shown["Jaccard"] == "0.890"
    assert shown["Threshold"] == "0.420"
    assert "Recall" not in shown, "a score nobody has needs no column"
    assert found["Distance between outlines"].rows == (("Parenchyma", "12.35 µm"), ("Severe", "–"))
    assert found["Cases without the target"].rows == (("Severe", 2, "1.23 %"),)
    at = found["Dice at fixed thresholds"]
    assert [text for text, _ in at.shown(at.rows[0])] == ["Parenchyma", "0.930", "–"]


def test_segmentation_figures_follow_the_data():
    cases = [
        {
            "target": "Parenchyma",
            "dice": 0.9,
            "group": "1",
            "true_size": 10,
            "predicted_size": 12,
            "size_unit": "µm²",
        },
        {"target": "Severe", "dice": math.nan, "group": "2"},
    ]
    section = segmentation_scores_section(SUMMARY, cases)
    expected = [
        "Dice case by case",
        "Area of Parenchyma",
        "Area of Parenchyma, agreement",
    ]
    assert titles(section) == expected
    assert titles(segmentation_scores_section(SUMMARY)) == []


def sized(unit):
    return {"target": "Liver", "dice": 0.9, "true_size": 10.0, "predicted_size": 12.0, "size_unit": unit}


def test_areas_and_volumes_of_different_units_have_axes_of_their_own():
    summary = {"targets": {"Liver": {"dice": {"mean": 0.9}}}}
    volumes = [sized("mm³")] * 3
    assert titles(segmentation_scores_section(summary, volumes))[1:] == [
        "Volume of Liver",
        "Volume of Liver, agreement",
    ]
    mixed = segmentation_scores_section(summary, [*volumes, sized("px³")])
    assert titles(mixed)[1:] == [
        "Volume of Liver (mm³)",
        "Volume of Liver, agreement (mm³)",
        "Volume of Liver (px³)",
        "Volume of Liver, agreement (px³)",
    ]
    captions = [block.caption for block in mixed.blocks if isinstance(block, Figure)]
    assert captions[1].startswith("3 cases;")
    assert captions[3].startswith("1 case;")


def test_no_scores_are_said():
    (callout,) = segmentation_scores_section({}).blocks
    assert isinstance(callout, Callout)
    assert "no scores" in render("run", "", [segmentation_scores_section({})])
