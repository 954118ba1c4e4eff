import csv
import math
from types import SimpleNamespace

import numpy as np
import pytest

from hilum.planning.plan import Plan
from hilum.reporting.blocks import Callout
from hilum.reporting.terminal import score_lines
from hilum.scoring.classification import summarise_classification
from hilum.tasks.label_pages import how_decided, scores_section, shift_note

CLASSES = ("mass", "fluid", "rare")


@pytest.fixture
def run(tmp_path):
    """An evaluated run whose test images say nothing of one of three labels."""
    generator = np.random.default_rng(0)
    values, labels = generator.random((12, 3)), generator.integers(0, 2, (12, 3)).astype(float)
    labels[:, 2] = np.nan
    summary = summarise_classification(values, labels, CLASSES, exclusive=False, samples=20)
    summary["calibration"] = {"temperature": 1.0, "learnt_on": 0, "ece_before": 0.1, "brier_before": 0.2}
    with (tmp_path / "cases.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["case", "class", *(f"calibrated_{name}" for name in CLASSES)])
        table.writerows([f"i{at}", "mass", *row] for at, row in enumerate(values.tolist()))
    splits = SimpleNamespace(by="given")
    return SimpleNamespace(summary=lambda: summary, evaluation=tmp_path, splits=splits, caveat="")


def test_a_class_without_known_labels_is_told_in_the_report(run):
    section = scores_section(run, CLASSES)
    (note,) = [block for block in section.blocks if isinstance(block, Callout)]
    assert note.text == "No image has a known label of rare: left out of the scores and of their means."
    report = next(block for block in section.blocks if getattr(block, "caption", "") == "Report per class")
    assert [row[0] for row in report.rows] == ["mass", "fluid"]


def test_the_other_classes_are_told_on_the_command_line(run):
    assert any(line.startswith("AUC 0.") for line in score_lines(run.summary()))


def one_class(**more):
    """The summary of test images that are all of one class."""
    summary = summarise_classification([0.2, 0.8, 0.9], [1, 1, 1], ("normal", "sick"), samples=20)
    summary["calibration"] = {"temperature": 1.0, "learnt_on": 9, "ece_before": 0.1, "brier_before": 0.2}
    return summary | {"youden": {"recall": 0.9, "specificity": math.nan}} | more


def test_test_images_of_one_class_have_words_too(run):
    words = how_decided(run, one_class())
    assert "Youden" not in words
    assert "nan" not in words
    run.plan = SimpleNamespace(training=SimpleNamespace(validation=0.0))
    assert shift_note(run, one_class(validation={"auc": {"value": 0.9}, "accuracy": {"value": 0.9}})) == ""


def test_what_was_learnt_and_on_what_is_told(run):
    summary = one_class()
    summary["calibration"] |= {"source": "held-back images", "thresholds_learnt": True}
    assert "Temperature (1.00) and threshold were learnt on held-back images (9)" in how_decided(run, summary)
    summary["calibration"] |= {"thresholds_learnt": False}
    assert "Temperature (1.00) was learnt" in how_decided(run, summary)
    assert "used for nothing else" in how_decided(run, summary)
    run.caveat = "Seen before."
    assert how_decided(run, summary).startswith("Seen before. Temperature")


@pytest.mark.parametrize(
    ("ema", "flips", "moves", "told"),
    [
        (0.99, ["x"], True, "weights are averaged; mirrored, turned, zoomed and shifted copies are averaged"),
        (0.0, [], True, "varied in training; turned, zoomed and shifted copies are averaged in prediction"),
        (0.0, ["x"], False, "varied in training; mirrored copies are averaged in prediction. The threshold"),
        (0.99, [], False, "varied in training; weights are averaged. The threshold was not moved"),
        (0.0, [], False, "contrast and brightness are varied in training. The threshold was not moved"),
    ],
)
def test_what_is_done_against_a_shift_is_what_the_plan_does(run, ema, flips, moves, told):
    plan = Plan(task="classify")
    plan.training.ema, plan.inference.flips, plan.inference.moves = ema, flips, moves
    run.plan = plan
    scores = {"auc": {"value": 0.9}, "accuracy": {"value": 0.9}}
    test = {"auc": {"value": 0.7}, "accuracy": {"value": 0.7}}
    assert told in shift_note(run, {**test, "validation": scores})
