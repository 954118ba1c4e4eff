"""Measurement tables: of the model's masks or of painted ones, filtered and grouped."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.studio.view import View
from hilum.study.masks import read_case_image, read_masks

Row = dict[str, Any]
PAINTED = "painted"
_TEXT = ("case", "group", "target", "unit", "touches_border", "folder", "split", "label", "class", "file")


def measured(view: View, out: Path) -> list[Row]:
    """Measure the painted masks of a study, and write measurements.csv and .xlsx into OUT.

    Raises HilumError where a mask cannot be read.
    """
    from hilum.measurement.table import measure_masks, write_tables

    rows: list[Row] = []
    regions: list[Row] = []
    for case in view.cases:
        if not case.masks:
            continue
        image = read_case_image(case)
        arrays, _ = read_masks(case, list(case.masks), image.shape)
        found = measure_masks(case.name, dict(zip(case.masks, arrays, strict=True)), image.spacing)
        rows += [{"case": case.name, "group": case.group, **_rest(row)} for row in found[0]]
        regions += found[1]
    write_tables(rows, regions, out)
    return rows


def _rest(row: Mapping[str, Any]) -> Row:
    return {key: value for key, value in row.items() if key != "case"}


def with_folders(view: View, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows with the folder of each case's image, numbers as numbers."""
    folders = {
        case.name: case.image.path.parent.relative_to(view.root).as_posix()
        for case in view.cases
        if case.image.path.is_relative_to(view.root)
    }
    return [{**_typed(row), "folder": folders.get(str(row.get("case")), "")} for row in rows]


def _typed(row: Mapping[str, Any]) -> Row:
    result: Row = {}
    for key, value in row.items():
        try:
            result[key] = value if key in _TEXT or not isinstance(value, str) else float(value)
        except ValueError:
            result[key] = value
    return result


def filtered(rows: Sequence[Row], text: str) -> list[Row]:
    """Rows in which every word of a text is found.

    >>> filtered([{"case": "a1"}, {"case": "b2"}], "B")
    [{'case': 'b2'}]
    """
    words = text.lower().split()
    return [
        row
        for row in rows
        if all(any(word in str(value).lower() for value in row.values()) for word in words)
    ]


def columns_of(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Names of the columns to group by, and of those that hold numbers."""
    if not rows:
        return [], []
    names = list(rows[0])
    numbers = [
        name
        for name in names
        if all(isinstance(row.get(name), int | float) or row.get(name) in ("", None) for row in rows)
        and any(
            isinstance(row.get(name), int | float) and not isinstance(row.get(name), bool) for row in rows
        )
    ]
    return [name for name in names if name not in numbers and name != "unit"], numbers


def grouped(rows: Sequence[Row], by: str, value: str) -> dict[str, list[float]]:
    """Values of a column by the values of another, in order of appearance."""
    result: dict[str, list[float]] = {}
    for row in rows:
        number = row.get(value)
        if isinstance(number, int | float) and number == number:
            result.setdefault(str(row.get(by, "")) or "–", []).append(float(number))
    return result


def summed_up(groups: Mapping[str, Sequence[float]]) -> list[Row]:
    """Number, mean, standard deviation and median of each group."""
    return [
        {
            "group": name,
            "n": len(values),
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "median": statistics.median(values),
        }
        for name, values in groups.items()
    ]
