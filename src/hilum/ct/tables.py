"""CSV tables of nodules as LUNA16 and Tianchi have them: marks in, candidates and submissions out."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hilum.ct.candidates import Candidate, rows_of
from hilum.errors import StudyError
from hilum.files import write_text
from hilum.study.study import Mark

PLACE = ("seriesuid", "coordX", "coordY", "coordZ")
_LIMIT_BYTES = 1 << 30


def read_table(path: Path, columns: Sequence[str], numbers: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a CSV file with at least `columns`; separators may be comma, semicolon or tab.

    Headings are taken without regard to case. Every value of `numbers` is checked to be finite. Raises
    StudyError naming the file, the missing columns and those found, or the line and value at fault.
    """
    text = _text(path)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        found = [name.strip() for name in next(reader, [])]
        lower = [name.lower() for name in found]
        missing = [name for name in columns if name.lower() not in lower]
        if missing:
            raise StudyError(
                f"{path}: has no column {', '.join(missing)}; found {', '.join(found) or 'nothing'}, "
                f"needed are {', '.join(columns)}"
            )
        proper = {name.lower(): name for name in columns}
        names = [proper.get(name, given) for name, given in zip(lower, found, strict=True)]
        rows = []
        for values in reader:
            if any(value.strip() for value in values):
                rows.append(_row(path, reader.line_num, names, values, numbers))
    except csv.Error as error:
        raise StudyError(f"{path}: is no CSV table ({error})") from error
    return rows


def read_marks(path: Path) -> dict[str, tuple[Mark, ...]]:
    """Marks of each series from `seriesuid,coordX,coordY,coordZ,diameter_mm`, world mm, in the file's order.

    Raises StudyError where columns are missing, or a value is no number or a diameter not above zero.
    """
    marks: dict[str, list[Mark]] = {}
    for number, row in enumerate(read_table(path, (*PLACE, "diameter_mm"), (*PLACE[1:], "diameter_mm")), 1):
        diameter = float(row["diameter_mm"])
        if diameter <= 0:
            raise StudyError(
                f"{path}: mark {number} ({row['seriesuid']}) has diameter {diameter:g} mm; "
                "it must be above zero"
            )
        marks.setdefault(row["seriesuid"], []).append(Mark(_place(row), diameter))
    return {uid: tuple(found) for uid, found in marks.items()}


def check_series(path: Path, marked: Collection[str], there: Collection[str]) -> None:
    """Raise StudyError naming series that a table marks and no file holds."""
    lost = sorted(set(marked) - set(there))
    if lost:
        raise StudyError(
            f"{path}: {len(lost)} of {len(set(marked))} marked series have no file: {', '.join(lost[:5])}"
            f"{' ...' if len(lost) > 5 else ''}; {len(set(there))} volumes are there. "
            "Fetch the rest, or cut the rows"
        )


def write_candidates(path: Path, found: Mapping[str, Sequence[Candidate]]) -> None:
    """Write all that is known of the candidates of each series: place, size, score, peak, mean, volume."""
    heading = (*PLACE, "diameter_mm", "probability", "peak_probability", "mean_probability", "volume_mm3")
    rows = [
        (uid, *_digits((*one.centre, one.diameter_mm)), *_shares(one), f"{one.volume_mm3:.2f}")
        for uid, one in rows_of(found)
    ]
    _write(path, heading, rows)


def write_submission(path: Path, found: Mapping[str, Sequence[Candidate]]) -> None:
    """Write `seriesuid,coordX,coordY,coordZ,probability`, as the challenges take it."""
    rows = [(uid, *_digits(one.centre), f"{one.probability:.6g}") for uid, one in rows_of(found)]
    _write(path, (*PLACE, "probability"), rows)


def read_submission(path: Path) -> dict[str, list[tuple[tuple[float, float, float], float]]]:
    """Centre (x, y, z) in mm and probability of each row, by series."""
    found: dict[str, list[tuple[tuple[float, float, float], float]]] = {}
    for row in read_table(path, (*PLACE, "probability"), (*PLACE[1:], "probability")):
        found.setdefault(row["seriesuid"], []).append((_place(row), float(row["probability"])))
    return found


def _place(row: Mapping[str, str]) -> tuple[float, float, float]:
    return float(row["coordX"]), float(row["coordY"]), float(row["coordZ"])


def _digits(values: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in values)


def _shares(one: Candidate) -> tuple[str, ...]:
    return tuple(f"{value:.6g}" for value in (one.probability, one.peak, one.mean))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise StudyError(f"{path}: larger than {_LIMIT_BYTES:,} bytes, which no table of marks is")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: is not text in UTF-8 ({error.reason}); save it as CSV again") from error


def _row(
    path: Path, line: int, names: list[str], values: list[str], numbers: Sequence[str]
) -> dict[str, str]:
    if len(values) < len(names):
        raise StudyError(f"{path}: line {line} has {len(values)} values, the heading {len(names)}")
    row = {name: value.strip() for name, value in zip(names, values, strict=False)}
    for name in numbers:
        try:
            fine = math.isfinite(float(row[name]))
        except ValueError:
            fine = False
        if not fine:
            raise StudyError(f"{path}: line {line} has {name} = {row[name]!r}, a finite number is needed")
    return row


def _write(path: Path, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    write_text(path, text.getvalue())
