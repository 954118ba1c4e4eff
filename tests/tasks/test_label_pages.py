import csv
from types import SimpleNamespace

import numpy as np
import pytest

from hilum.reporting.blocks import Callout
from hilum.reporting.terminal import score_lines
from hilum.scoring.classification import summarise_classification
from hilum.tasks.label_pages import scores_section

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
    return SimpleNamespace(summary=lambda: summary, evaluation=tmp_path, splits=splits)


def test_a_class_without_known_labels_is_told_in_the_report(run):
    section = scores_section(run, CLASSES)
    (note,) = [block for block in section.blocks if isinstance(block, Callout)]
    assert note.text == "No image has a known label of rare: left out of the scores and of their means."
    report = next(block for block in section.blocks if getattr(block, "caption", "") == "Report per class")
    assert [row[0] for row in report.rows] == ["mass", "fluid"]


def test_the_other_classes_are_told_on_the_command_line(run):
    assert any(line.startswith("AUC 0.") for line in score_lines(run.summary()))
