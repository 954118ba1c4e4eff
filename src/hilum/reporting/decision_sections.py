"""Sections of decisions: scores of classifiers and their mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.reporting import decision_plots, numbers
from hilum.reporting.blocks import Block, Callout, Card, Facts, Figure, Gallery, Heading, Section, Table, Text
from hilum.reporting.decision_plots import Decisions

Row = Mapping[str, Any]

INTERVAL = "95 % interval"
_CLASSIFIER_NAMES = {
    "auc": "ROC AUC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity (recall)",
    "recall": "Sensitivity (recall)",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "brier": "Brier score (lower is better)",
    "ece": "Expected calibration error (lower is better)",
    "calibration_error": "Expected calibration error (lower is better)",
}


def classification_scores_section(
    summary: Row,
    *,
    decisions: Decisions | None = None,
    report: Sequence[Row] = (),
    confusion: tuple[Sequence[Sequence[float]], Sequence[str]] | None = None,
    note: str = "",
) -> Section:
    """Scores with intervals, the operating point, the report per class, and the plots of the decisions.

    `summary` as summary.json: score to {"value", "interval", "cases"}, and `operating_point`;
    `report` rows with class, precision, recall, f1, support; `confusion` matrix (rows the truth) and classes.
    """
    point: Row = summary.get("operating_point") or {}
    blocks: list[Block] = [Text(note)] if note else []
    scores = {key: value for key, value in summary.items() if isinstance(value, Mapping) and "value" in value}
    if not scores:
        blocks.append(Callout("note", "This run has no scores."))
    else:
        blocks.append(_score_table(scores, _average_note(summary)))
    blocks += _operating_point(point)
    blocks += _decision_figures(decisions or {}, confusion, point)
    if report:
        blocks.append(_class_report(report))
    return Section("Scores", tuple(blocks), "scores")


def mistakes_section(
    cards: Sequence[Card], note: str = "", limit: int = 36, title: str = "Mistakes"
) -> Section:
    """The most confident mistakes first; `cards` in that order, one picture (or a few) each."""
    text = note or "Cases decided wrongly, those first of which the model was most certain."
    if not cards:
        return Section(title, (Text("No case was decided wrongly."),), "mistakes")
    more = [Text(f"The first {limit} of {len(cards)}.")] if len(cards) > limit else []
    return Section(title, (Text(text), *more, Gallery(tuple(cards[:limit]))), "mistakes")


def _average_note(summary: Row) -> str:
    """What the scores of several classes are averages of; nothing where there is one question."""
    average = str(summary.get("average") or "")
    whole = "; accuracy, Brier score and calibration error count all classes together"
    shared = whole if average and "confusion" in summary else ""
    return f"{average[:1].upper()}{average[1:]}{shared}." if average else ""


def _score_table(scores: Mapping[str, Row], note: str) -> Table:
    rows = tuple(
        (
            _CLASSIFIER_NAMES.get(key, key.replace("_", " ").capitalize()),
            score.get("value"),
            numbers.interval(score.get("interval")) or None,
            score.get("cases"),
        )
        for key, score in scores.items()
    )
    columns = ("Score", "Value", INTERVAL, "Cases")
    return Table(columns, rows, note=note, digits=(("Value", 3),), sortable=False)


def _operating_point(point: Row) -> list[Block]:
    if not point:
        return []
    shown = {key: value for key, value in point.items() if not isinstance(value, Mapping)}
    values = {key: part(value, "value") for key, value in point.items() if isinstance(value, Mapping)}
    facts = []
    for key, value in {**shown, **values}.items():
        found = numbers.number(value)
        text = numbers.score(value) if found == found and not isinstance(value, str) else numbers.cell(value)
        facts.append((key.replace("_", " ").capitalize(), text))
    return [Heading("Operating point"), Facts(tuple(facts))]


def _decision_figures(
    decisions: Decisions, confusion: tuple[Sequence[Sequence[float]], Sequence[str]] | None, point: Row
) -> list[Figure]:
    figures = []
    sensitivity, specificity = (
        numbers.number(part(point.get(key), "value")) for key in ("sensitivity", "specificity")
    )
    known = sensitivity + specificity == sensitivity + specificity
    operating = (sensitivity, specificity) if known and len(decisions) == 1 else None
    if decisions:
        ring = " The ring is the operating point." if operating else ""
        text = f"The dashed line is chance.{ring}"
        figures.append(Figure(decision_plots.roc(decisions, operating=operating), text, "ROC curve"))
        text = "The dotted line is the share of positives: what guessing reaches."
        figures.append(Figure(decision_plots.precision_recall(decisions), text, "Precision and recall"))
        text = (
            "On the dashed line, probabilities are as often right as they say. Larger points hold more cases."
        )
        figures.append(Figure(decision_plots.reliability(decisions), text, "Reliability"))
    if confusion is not None:
        matrix, classes = confusion
        text = "Number of cases and share of the true class."
        wide = len(classes) > decision_plots.FEW_CLASSES
        content = decision_plots.confusion(matrix, classes)
        figures.append(
            Figure(content, text if not wide else "Number of cases.", "Confusion matrix", wide=wide)
        )
    return figures


def _class_report(report: Sequence[Row]) -> Table:
    keys = list(dict.fromkeys(key for row in report for key in row))
    short = {"f1": "F1", "auc": "AUC"}
    columns = tuple(short.get(key, key.replace("_", " ").capitalize()) for key in keys)
    fixed = tuple(
        (name, 3) for key, name in zip(keys, columns, strict=True) if key not in ("support", "cases")
    )
    rows = tuple(tuple(row.get(key) for key in keys) for row in report)
    return Table(columns, rows, "Report per class", digits=fixed)


def part(entry: Any, key: str) -> Any:
    """`entry[key]` of a mapping; a bare number stands for its own mean and value."""
    if isinstance(entry, Mapping):
        return entry.get(key)
    return entry if key in ("mean", "value") else None
