import math

import pytest

from hilum.reporting.terminal import score_lines

EMPTY = (math.nan, None)


def around(value):
    return {"value": value, "interval": [value, value], "cases": 3}


@pytest.mark.parametrize("none", EMPTY)
def test_what_is_not_known_is_an_en_dash(none):
    """A summary in memory holds NaN where the one that was read back holds null."""
    dice = {"mean": 0.5, "pooled": none, "interval": [none, none], "cases": 1}
    assert score_lines({"targets": {"Liver": {"dice": dice}}}) == [
        "Liver: mean Dice 0.500 [–, –] over 1 cases, pooled –"
    ]
    known = {"auc": {"value": 0.9, "interval": [none, 0.95], "cases": 3}}
    assert score_lines(known) == ["AUC 0.900 [–, 0.950] over 3 images"]


@pytest.mark.parametrize("none", EMPTY)
def test_scores_and_points_that_are_not_known_are_left_out(none):
    point = {"sensitivity": none, "specificity": 0.5, "threshold": 0.5, "rule": "youden"}
    assert score_lines({"auc": around(none), "accuracy": around(0.5), "operating_point": point}) == [
        "accuracy 0.500 [0.500, 0.500] over 3 images"
    ]


@pytest.mark.parametrize("none", EMPTY)
def test_a_detector_without_nodules(none):
    summary = {
        "froc": {"cpm": {"value": none, "interval": [none, none]}},
        "operating_point": {"sensitivity": none, "false_positives_a_scan": 0.0, "threshold": 0.5},
        "distance_mm": {"median": none, "p90": none},
        "nodules": 0,
        "scans": 2,
    }
    assert score_lines(summary) == ["CPM – [–, –] over 0 nodules in 2 scans"]
