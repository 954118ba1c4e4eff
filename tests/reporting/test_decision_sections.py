import numpy as np
import pytest

from hilum.reporting.blocks import Callout, Card, Facts, Figure, Gallery, Table, Text
from hilum.reporting.decision_sections import (
    classification_scores_section,
    detection_section,
    mistakes_section,
)
from hilum.reporting.page import render


def tables(section):
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}


def titles(section):
    return [block.title for block in section.blocks if isinstance(block, Figure)]


def test_classifier_scores_operating_point_and_plots():
    truth = np.array([0, 1, 0, 1, 1])
    section = classification_scores_section(
        {
            "auc": {"value": 0.97, "interval": [0.95, 0.98], "cases": 624},
            "operating_point": {
                "threshold": 0.37,
                "sensitivity": {"value": 0.99},
                "specificity": 0.7,
                "rule": "Youden",
            },
        },
        decisions={"PNEUMONIA": (truth, [0.1, 0.8, 0.3, 0.4, 0.9])},
        report=[{"class": "NORMAL", "precision": 1.0, "f1": 0.5, "support": 234}],
        confusion=([[2, 0], [0, 3]], ["NORMAL", "PNEUMONIA"]),
    )
    scores = tables(section)[""]
    assert [text for text, _ in scores.shown(scores.rows[0])] == ["ROC AUC", "0.970", "[0.950, 0.980]", "624"]
    facts = next(dict(block.rows) for block in section.blocks if isinstance(block, Facts))
    assert facts == {"Threshold": "0.370", "Sensitivity": "0.990", "Specificity": "0.700", "Rule": "Youden"}
    assert titles(section) == ["ROC curve", "Precision and recall", "Reliability", "Confusion matrix"]
    report = tables(section)["Report per class"]
    assert report.columns == ("Class", "Precision", "F1", "Support")
    assert [text for text, _ in report.shown(report.rows[0])] == ["NORMAL", "1.000", "0.500", "234"]


def test_mistakes_keep_their_order_and_are_cut():
    section = mistakes_section([Card(str(place), ()) for place in range(50)], limit=10)
    gallery = next(block for block in section.blocks if isinstance(block, Gallery))
    assert [card.title for card in gallery.cards] == [str(place) for place in range(10)]
    assert any("first 10 of 50" in block.text for block in section.blocks if isinstance(block, Text))
    assert "No case" in mistakes_section([]).blocks[0].text


def test_detection_scores_thresholds_and_missed():
    section = detection_section(
        {
            "cpm": {"value": 0.82, "interval": [0.7, 0.9]},
            "scans": 6,
            "sensitivity_at": {"0.125": 0.5, "4": {"value": 0.9, "interval": [0.8, 1.0], "threshold": 0.3}},
        },
        froc=([0.1, 4], [0.5, 0.9]),
        distances_mm=[0.5, 1.5],
        missed=[{"scan": "a", "diameter_mm": 4.0}],
    )
    facts = dict(section.blocks[0].rows)
    assert facts["Scans"] == "6"
    assert "0.820 [0.700, 0.900]" in facts.values()
    levels = tables(section)["Sensitivity by rate of false positives"]
    assert levels.rows == (("1/8", 0.5, "", None), ("4", 0.9, "[0.800, 1.000]", 0.3))
    assert titles(section) == ["Free-response ROC", "Error of the centre"]
    assert tables(section)["Missed"].columns == ("Scan", "Diameter (mm)")


@pytest.mark.parametrize("build", [classification_scores_section, detection_section])
def test_no_scores_are_said(build):
    section = build({})
    assert any(isinstance(block, Callout) and "no scores" in block.text for block in section.blocks)
    assert "no scores" in render("run", "", [section])
