import numpy as np

from hilum.reporting.blocks import Callout, Card, Facts, Figure, Gallery, Table, Text
from hilum.reporting.decision_sections import (
    classification_scores_section,
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


def test_no_scores_are_said():
    section = classification_scores_section({})
    assert any(isinstance(block, Callout) and "no scores" in block.text for block in section.blocks)
    assert "no scores" in render("run", "", [section])


def test_averages_over_classes_say_so():
    """Of exclusive classes some scores are of all together; of separate questions all are means."""
    scores = {"auc": {"value": 0.9}, "accuracy": {"value": 0.8}}
    each = {**scores, "average": "mean over classes, each against the rest", "confusion": {}}
    note = tables(classification_scores_section(each))[""].note
    assert note.startswith("Mean over classes, each against the rest; accuracy,")
    several = {**scores, "average": "mean over classes"}
    assert tables(classification_scores_section(several))[""].note == "Mean over classes."
    assert tables(classification_scores_section(scores))[""].note == ""


def test_large_confusion_matrices_take_the_whole_width():
    for count, wide in ((2, False), (14, True)):
        names = [f"class {place}" for place in range(count)]
        section = classification_scores_section({}, confusion=(np.eye(count).tolist(), names))
        (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
        assert figure.wide == wide
