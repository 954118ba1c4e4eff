"""CSV tables of marks and candidates by series: of LUNA16 and Tianchi, and as spreadsheets save them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hilum.errors import StudyError
from hilum.files import read_text
from hilum.study.layouts.columns import delimiter, filled
from hilum.study.names import listed, printable
from hilum.study.study import Mark

PLACE = ("seriesuid", "coordX", "coordY", "coordZ")
COLUMNS = (*PLACE, "diameter_mm")
EXCLUDED = "excluded"
_OTHER_NAMES = {"diameter": "diameter_mm"}
_LIMIT_BYTES = 1 << 30
_MOST_TOLD = 12
Row = dict[str, str]


def read_table(path: str | Path, columns: Sequence[str], numbers: Sequence[str] = ()) -> list[Row]:
    """Rows of a CSV file with at least `columns`; separators may be comma, semicolon or tab.

    Headings are taken without regard to case. Every value of `numbers` is checked to be finite; beside
    other separators a comma may be their decimal point. Raises StudyError naming the file, the missing
    columns and those found, or the lines and values at fault.
    """
    rows = list(_numbered_rows(path, columns, numbers))
    problems = [words for line, row in rows if (words := _no_number(line, row, numbers))]
    if problems:
        raise StudyError(f"{path}: {listed(problems, _MOST_TOLD)}; a finite number is needed")
    return [row for _, row in rows]


def read_marks(path: str | Path, kind: str = "nodule") -> dict[str, tuple[Mark, ...]]:
    """Marks of each series from `seriesuid,coordX,coordY,coordZ,diameter_mm`, world mm, in the file's order.

    Marks of kind "excluded" need no size. Raises StudyError where columns are missing, a value is no
    number or a diameter not above zero.
    """
    marks: dict[str, list[Mark]] = {}
    problems = []
    for line, row in _numbered_rows(path, COLUMNS, COLUMNS[1:]):
        words = _no_number(line, row, COLUMNS[1:])
        if not words and kind != EXCLUDED and float(row["diameter_mm"]) <= 0:
            words = f"line {line} has diameter_mm = {row['diameter_mm']!r}"
        if not words and not row["seriesuid"]:
            words = f"line {line} has no seriesuid"
        if words:
            problems.append(words)
            continue
        marks.setdefault(row["seriesuid"], []).append(Mark(place_of(row), float(row["diameter_mm"]), kind))
    if problems:
        raise StudyError(
            f"{path}: {listed(problems, _MOST_TOLD)}: a mark needs a seriesuid, finite coordinates in mm "
            "and a diameter above zero"
        )
    return {uid: tuple(found) for uid, found in marks.items()}


def place_of(row: Mapping[str, str]) -> tuple[float, float, float]:
    """Where a row of a table lies: x, y, z in mm."""
    return float(row["coordX"]), float(row["coordY"]), float(row["coordZ"])


def _numbered_rows(
    path: str | Path, columns: Sequence[str], numbers: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    """Rows that are not empty, with their lines; decimal commas made points."""
    text = read_text(Path(path), _LIMIT_BYTES, StudyError, "table of marks")
    first = text.partition("\n")[0]
    separator = delimiter(first)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        names = _names(path, next(reader, []), columns)
        for cells in reader:
            values = [printable(cell.strip()) for cell in cells]
            if not any(values):
                continue
            if len(values) < len(names) or any(values[len(names) :]):
                raise StudyError(
                    f"{path}: line {reader.line_num} has {len(values)} values, the heading {len(names)}"
                )
            row = dict(zip(names, values, strict=False))
            decimal = {name: row[name].replace(",", ".") for name in numbers} if separator != "," else {}
            yield reader.line_num, {**row, **decimal}
    except csv.Error as error:
        raise StudyError(f"{path}: is no CSV table ({error})") from error


def _names(path: str | Path, heading: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The heading with the wanted columns as they are written here."""
    found = [printable(name) for name in filled(heading)]
    lower = [_OTHER_NAMES.get(name.lower(), name.lower()) for name in found]
    missing = [name for name in columns if name.lower() not in lower]
    if missing:
        raise StudyError(
            f"{path}: has no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}, "
            f"needed are {', '.join(columns)}"
        )
    proper = {name.lower(): name for name in columns}
    return [proper.get(name, given) for name, given in zip(lower, found, strict=True)]


def _no_number(line: int, row: Row, numbers: Sequence[str]) -> str:
    """The first value of a row that is no finite number, in words; "" where all are."""
    for name in numbers:
        try:
            fine = math.isfinite(float(row[name]))
        except ValueError:
            fine = False
        if not fine:
            return f"line {line} has {name} = {row[name]!r}"
    return ""
