"""The scores of a detector: free-response ROC, operating point, error of the centre, diameters found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hilum.reporting import detection_plots, numbers, plots
from hilum.reporting.blocks import Block, Callout, Facts, Figure, Section, Table, Text
from hilum.study.marked import EDGES_MM
from hilum.study.names import counted
from hilum.tasks.nodule_tables import Detection, Row

FEW_NODULES = 30
SIZES = ("< 6 mm", "6 to 8 mm", "8 to 15 mm", "≥ 15 mm")


def detection_scores(detection: Detection) -> Section:
    """CPM, FROC curve, operating point, error of the centre and what is found by diameter."""
    summary = detection.summary
    froc, first, point = summary["froc"], summary.get("first_stage") or {}, summary["operating_point"]
    blocks: list[Block] = [Text(_how_read(summary, detection.caveat))]
    if summary["nodules"] < FEW_NODULES:
        words = f"{counted(summary['nodules'], 'nodule')} are few: read the intervals, not the figures alone."
        blocks.append(Callout("note", words))
    blocks.append(_facts(summary))
    curves = {"Both stages" if first else "Sensitivity": _curve(froc)}
    if first.get("sensitivity"):
        curves["First stage alone"] = (froc["false_positives"], first["sensitivity"])
    figure = detection_plots.froc(
        curves,
        at=froc["false_positives"],
        points=froc["sensitivity"],
        intervals=froc.get("sensitivity_interval") or (),
        operating=_operating(point),
    )
    caption = _froc_caption(froc, first, point, _drawn(summary))
    blocks += [Figure(figure, caption, "Free-response ROC"), *_size_figure(detection)]
    blocks += [*_distance_figure(detection), *_probability_figure(detection)]
    return Section("Scores", (*blocks, _rate_table(froc, first), _size_table(detection)), "scores")


def _how_read(summary: Row, caveat: str) -> str:
    how = caveat or "Out of fold: every scan was searched by networks that saw neither it nor its group."
    return (
        f"{how} A candidate hits where it lies within the radius of a true nodule, as LUNA16 counts; a "
        "second candidate on the same nodule counts neither way. CPM is the mean sensitivity at "
        f"{', '.join(map(detection_plots.rate_name, summary['froc']['false_positives']))} false positives "
        "a scan."
    )


def _facts(summary: Row) -> Facts:
    froc, point = summary["froc"], summary["operating_point"]
    away, dice = summary.get("distance_mm") or {}, summary.get("dice") or {}
    cpm = froc["cpm"]
    interval = numbers.interval(cpm.get("interval"))
    rows = [
        ("Scans", numbers.count(summary["scans"])),
        ("Nodules", numbers.count(summary["nodules"])),
        (f"CPM, 95 % interval over {_drawn(summary)}", f"{numbers.score(cpm['value'])} {interval}".strip()),
        ("Operating threshold", numbers.score(point["threshold"])),
        ("Sensitivity there", numbers.score(point["sensitivity"])),
        ("False positives a scan there", numbers.score(point["false_positives_a_scan"], 2)),
        ("Centre error, median (mm)", numbers.score(away.get("median"), 1)),
        ("Centre error, 90 % below (mm)", numbers.score(away.get("p90"), 1)),
        ("Volume Dice, mean over scans", numbers.score(dice.get("mean"))),
        ("Volume Dice, all voxels together", numbers.score(dice.get("pooled"))),
    ]
    return Facts(tuple((name, text) for name, text in rows if text != numbers.NONE))


def _drawn(summary: Row) -> str:
    """What intervals are drawn over: groups where scans are not their own."""
    return "groups" if summary.get("groups", summary["scans"]) < summary["scans"] else "scans"


def _curve(froc: Row) -> tuple[Sequence[float], Sequence[float]]:
    curve = froc.get("curve") or froc
    return curve["false_positives"], curve["sensitivity"]


def _operating(point: Row) -> tuple[float, float] | None:
    """False positives a scan and sensitivity; None where they are not known."""
    rate, sensitivity = (numbers.number(point[key]) for key in ("false_positives_a_scan", "sensitivity"))
    return (rate, sensitivity) if math.isfinite(rate + sensitivity) else None


def _froc_caption(froc: Row, first: Row, point: Row, drawn: str) -> str:
    cpm = froc["cpm"]
    text = f"CPM {numbers.score(cpm['value'])}, 95 % interval {numbers.interval(cpm.get('interval')) or '–'}"
    text += f" (bootstrap over {drawn}): the mean of the seven points."
    if froc.get("sensitivity_interval"):
        text += " Bars are 95 % intervals."
    if first:
        alone = first.get("cpm")
        value = alone.get("value") if isinstance(alone, Mapping) else alone
        text += f" Dashed: without the second stage, CPM {numbers.score(value)}."
    return text + _ring_words(_operating(point), froc["false_positives"])


def _ring_words(operating: tuple[float, float] | None, at: Sequence[float]) -> str:
    """Where the operating point is, also where the axis cannot hold it."""
    if operating is None:
        return ""
    rate, sensitivity = operating
    what = f"sensitivity {sensitivity:.3f} at {rate:.3g} false positives a scan"
    if detection_plots.on_axis(rate, at):
        return f" The ring is the operating point: {what}."
    return f" The operating point, {what}, lies beyond the axis."


def _rate_table(froc: Row, first: Row) -> Table:
    intervals = froc.get("sensitivity_interval") or []
    columns = ["False positives a scan", "Sensitivity"]
    parts: list[Sequence[Any]] = [
        [detection_plots.rate_name(rate) for rate in froc["false_positives"]],
        froc["sensitivity"],
    ]
    if intervals:
        columns.append("95 % interval")
        parts.append([numbers.interval(pair) for pair in intervals])
    if first.get("sensitivity"):
        columns.append("First stage alone")
        parts.append(first["sensitivity"])
    digits = (("Sensitivity", 3), ("First stage alone", 3))
    rows = tuple(zip(*parts, strict=True))
    return Table(tuple(columns), rows, "Sensitivity by rate of false positives", "", digits, sortable=False)


def _by_size(detection: Detection) -> list[tuple[str, int, int]]:
    """Each class of diameter with the number of nodules found and missed."""
    counts = []
    for name, (low, high) in zip(SIZES, pairwise(EDGES_MM), strict=True):
        flags = [row["found"] == 1 for row in detection.nodules if low <= row["diameter_mm"] < high]
        counts.append((name, sum(flags), len(flags) - sum(flags)))
    return counts


def _size_figure(detection: Detection) -> list[Figure]:
    if not detection.nodules:
        return []
    names, found, missed = zip(*_by_size(detection), strict=True)
    caption = "Nodules found and missed at the operating point, by their true diameter."
    return [Figure(detection_plots.found_by_size(names, found, missed), caption, "Found by diameter")]


def _distance_figure(detection: Detection) -> list[Figure]:
    away = [row["distance_mm"] for row in detection.found if math.isfinite(row["distance_mm"])]
    if not away:
        return []
    limits = (0.0, max(1.0, math.ceil(max(away))))
    content = plots.histogram({"": away}, label="Distance (mm)", count="Nodules", bins=16, limits=limits)
    caption = (
        f"Between predicted and true centre, {counted(len(away), 'nodule')} found. A hit must lie "
        "within the nodule's radius."
    )
    return [Figure(content, caption, "Error of the centre")]


def _probability_figure(detection: Detection) -> list[Figure]:
    hits = [row["probability"] for row in detection.candidates if row["status"] == "hit"]
    false = [row["probability"] for row in detection.false]
    if not hits and not false:
        return []
    content = plots.histogram(
        {"Hits": hits, "False positives": false},
        label="Probability",
        count="Candidates",
        limits=(0.0, 1.0),
        bins=20,
        line=detection.threshold if math.isfinite(detection.threshold) else None,
    )
    caption = "All candidates, out of fold. The dashed line is the operating threshold."
    return [Figure(content, caption, "Probability of candidates")]


def _size_table(detection: Detection) -> Table:
    rows = tuple(
        (name, found + missed, found, found / (found + missed) if found + missed else None)
        for name, found, missed in _by_size(detection)
    )
    columns = ("Diameter", "Nodules", "Found", "Sensitivity")
    return Table(columns, rows, "Sensitivity by diameter", digits=(("Sensitivity", 3),), sortable=False)
