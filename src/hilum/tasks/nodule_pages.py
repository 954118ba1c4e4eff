"""The report's pages of a detector: scores, nodules found and missed, false positives, lungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hilum.reporting import numbers
from hilum.reporting.blocks import Block, Callout, Card, Figure, Gallery, Legend, Section, Table, Text
from hilum.reporting.nodule_pictures import FOUND_RGB, TRUE_RGB, Album, Point, Spot, take_pictures
from hilum.reporting.sections import thinned
from hilum.study.study import Mark, Study
from hilum.tasks.nodule_scores import detection_scores
from hilum.tasks.nodule_tables import Detection, Row, read_detection
from hilum.training.run import Run

PICTURES = 12
FALSE_PICTURES = 8
MONTAGES = 4
ROWS = 200
_NONE = "No nodule is marked in these scans."
_LEGEND = Legend((("true nodule, a line", TRUE_RGB), ("predicted, dashed", FOUND_RGB)))


def detection_sections(run: Run, study: Study) -> list[Section]:
    """Pages of a detection run, out of fold. Raises RunError where its tables are missing or damaged."""
    detection = read_detection(run)
    found, missed = thinned(detection.found, PICTURES), detection.missed[:PICTURES]
    false = detection.false[:FALSE_PICTURES]
    lungs = _montage_cases(detection)
    album = take_pictures(
        study.by_name,
        run.predictions,
        [_spot(row) for row in (*missed, *found, *false)],
        lungs,
        _balls(detection),
    )
    return [
        detection_scores(detection),
        _gallery(
            "Nodules missed",
            missed,
            len(detection.missed),
            album,
            _missed_facts(detection),
            "True nodules that no candidate at or above the operating threshold hits, the largest first.",
            "No nodule was missed at the operating threshold." if detection.nodules else _NONE,
        ),
        _gallery(
            "Nodules found",
            found,
            len(detection.found),
            album,
            _found_facts,
            "True nodules that a candidate hits, the least certain first.",
            "No nodule was found at the operating threshold." if detection.nodules else _NONE,
        ),
        _gallery(
            "False positives",
            false,
            len(detection.false),
            album,
            _false_facts(detection),
            "Candidates that hit no nodule, the most probable first. Look whether some are nodules that "
            "nobody marked.",
            "There are no false positives.",
        ),
        _lungs(detection, album),
        _nodule_table(detection),
    ]


def _gallery(
    title: str, rows: Sequence[Row], number: int, album: Album, facts: Any, note: str, none: str
) -> Section:
    """Three planes of each nodule or candidate; those without picture are listed by their facts alone."""
    if not rows:
        return Section(title, (Text(none),))
    more = f" {len(rows)} of {number} are shown." if len(rows) < number else ""
    cards = [
        Card(_name(row), album.planes.get(_spot(row), ()), tuple(facts(row)), _group(row)) for row in rows
    ]
    lost = {row["seriesuid"]: album.problems[row["seriesuid"]] for row in rows if _lost(row, album)}
    warned = [Callout("warning", "No pictures of these scans:", tuple(f"{a}: {b}" for a, b in lost.items()))]
    return Section(title, (*(warned if lost else []), Text(note + more), _LEGEND, Gallery(tuple(cards))))


def _lost(row: Row, album: Album) -> bool:
    return _spot(row) not in album.planes and row["seriesuid"] in album.problems


def _found_facts(row: Row) -> list[tuple[str, str]]:
    return [
        ("Diameter", _fixed(row["diameter_mm"], "mm")),
        ("Probability", numbers.score(row.get("probability"))),
        ("Off the centre", _fixed(row.get("distance_mm"), "mm")),
        *_where(row),
    ]


def _missed_facts(detection: Detection) -> Any:
    def facts(row: Row) -> list[tuple[str, str]]:
        best = numbers.number(row.get("probability"))
        below = f"{best:.3f}, below the threshold {numbers.score(detection.threshold_of(row['seriesuid']))}"
        return [
            ("Diameter", _fixed(row["diameter_mm"], "mm")),
            ("Best candidate on it", below if math.isfinite(best) else "none"),
            *_where(row),
        ]

    return facts


def _false_facts(detection: Detection) -> Any:
    def facts(row: Row) -> list[tuple[str, str]]:
        below = (
            " (below the threshold)" if row["probability"] < detection.threshold_of(row["seriesuid"]) else ""
        )
        found = [
            ("Probability", numbers.score(row["probability"]) + below),
            ("before the second stage", numbers.score(row.get("first_probability"))),
            ("Diameter", _fixed(row.get("diameter_mm"), "mm")),
            ("At", _said(_centre(row))),
        ]
        return [(name, text) for name, text in found if text != numbers.NONE]

    return facts


def _where(row: Row) -> list[tuple[str, str]]:
    facts = [
        ("Lung", str(row.get("side") or numbers.NONE)),
        ("To the wall", _fixed(row.get("wall_mm"), "mm")),
        ("Mean", _fixed(row.get("mean_hu"), "HU", 0)),
        ("At", _said(_centre(row))),
    ]
    return [(name, text) for name, text in facts if text != numbers.NONE]


def _fixed(value: Any, unit: str, digits: int = 1) -> str:
    text = numbers.score(value, digits)
    return text if text == numbers.NONE else f"{text} {unit}".replace("-", "−")


def _said(centre: Point) -> str:
    return f"x {centre[0]:.0f}, y {centre[1]:.0f}, z {centre[2]:.0f} mm"


def _lungs(detection: Detection, album: Album) -> Section:
    """Lungs at a glance with their litres, those with warnings first, and a table of all scans."""
    blocks: list[Block] = [
        Text("Right lung red, left lung blue, as found without training. Nodules outside are not searched.")
    ]
    for row in detection.cases:
        if warning := str(row.get("lung_warnings") or ""):
            blocks.append(Callout("warning", f"{row['case']}: {warning}"))
    for row in detection.cases:
        if content := album.lungs.get(row["case"]):
            litres = _fixed(row.get("lungs_l"), "l", 2)
            text = f"{litres} of lung. Axial cuts from the foot up, then coronal and sagittal ones."
            blocks.append(Figure(content, text, f"Lungs of {row['case']}", "image/jpeg", wide=True))
    named = (
        ("Scan", "case"),
        ("Group", "group"),
        ("Nodules", "nodules"),
        ("Found", "found"),
        ("False positives", "false_positives"),
        ("Candidates", "candidates"),
        ("Lungs (l)", "lungs_l"),
        ("Dice", "dice"),
    )
    kept = [(title, key) for title, key in named if any(_there(row.get(key)) for row in detection.cases)]
    if all(row.get("group") == row["case"] for row in detection.cases):
        kept = [(title, key) for title, key in kept if key != "group"]
    return Section("Scans and lungs", (*blocks, _table(kept, detection.cases, "Scans", "cases.csv")), "lungs")


def _nodule_table(detection: Detection) -> Section:
    named = (
        ("Scan", "seriesuid"),
        ("Diameter (mm)", "diameter_mm"),
        ("Found", "found"),
        ("Probability", "probability"),
        ("Off the centre (mm)", "distance_mm"),
        ("Volume (mm³)", "volume_mm3"),
        ("Mean (HU)", "mean_hu"),
        ("Lung", "side"),
        ("To the wall (mm)", "wall_mm"),
        ("x (mm)", "coordX"),
        ("y (mm)", "coordY"),
        ("z (mm)", "coordZ"),
    )
    rows = [{**row, "found": "yes" if row["found"] == 1 else "no"} for row in detection.nodules]
    kept = [(title, key) for title, key in named if any(_there(row.get(key)) for row in rows)]
    table = _table(kept, rows, "True nodules", "nodules.csv")
    text = "Every true nodule. Volume, density and place are of the true nodule, in the scan's own voxels."
    return Section("Nodules", (Text(text), table), "nodules")


def _table(named: Sequence[tuple[str, str]], rows: Sequence[Row], caption: str, file: str) -> Table:
    more = f"The first {ROWS} of {len(rows):,}; all are in evaluation/{file}." if len(rows) > ROWS else ""
    digits = {"Diameter (mm)": 1, "Probability": 3, "Off the centre (mm)": 1, "Volume (mm³)": 0}
    digits |= {"Mean (HU)": 0, "To the wall (mm)": 1, "Lungs (l)": 2, "Dice": 3}
    digits |= {"x (mm)": 1, "y (mm)": 1, "z (mm)": 1}
    digits |= dict.fromkeys(("Nodules", "Found", "False positives", "Candidates"), 0)
    cells = tuple(tuple(row.get(key) for _, key in named) for row in rows[:ROWS])
    return Table(tuple(title for title, _ in named), cells, caption, more, tuple(digits.items()), ("Scan",))


def _montage_cases(detection: Detection) -> list[str]:
    """Scans whose lungs are shown: those with warnings, then others evenly."""
    doubtful = [str(row["case"]) for row in detection.cases if row.get("lung_warnings")]
    others = [str(row["case"]) for row in detection.cases if not row.get("lung_warnings")]
    return [*doubtful[:MONTAGES], *thinned(others, max(0, MONTAGES - len(doubtful)))]


def _balls(detection: Detection) -> dict[str, list[Mark]]:
    balls: dict[str, list[Mark]] = {}
    for row in detection.nodules:
        balls.setdefault(row["seriesuid"], []).append(Mark(_centre(row), row["diameter_mm"]))
    return balls


def _spot(row: Row) -> Spot:
    wide = numbers.number(row.get("diameter_mm"))
    return Spot(row["seriesuid"], _centre(row), wide if math.isfinite(wide) else 0.0)


def _centre(row: Row) -> Point:
    return row["coordX"], row["coordY"], row["coordZ"]


def _name(row: Row) -> str:
    return str(row["seriesuid"])


def _group(row: Row) -> str:
    return f"fold {row['fold']}" if row.get("fold") else ""


def _there(value: Any) -> bool:
    return value not in (None, "") and value == value
