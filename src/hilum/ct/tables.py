"""CSV tables of nodules as LUNA16 and Tianchi have them: marks in, candidates and submissions out."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hilum.ct.candidates import Candidate, rows_of
from hilum.errors import StudyError
from hilum.files import write_text
from hilum.study.mark_tables import PLACE, place_of, read_marks, read_table

__all__ = [
    "check_series",
    "read_marks",
    "read_submission",
    "read_table",
    "write_candidates",
    "write_submission",
]


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
        found.setdefault(row["seriesuid"], []).append((place_of(row), float(row["probability"])))
    return found


def _digits(values: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in values)


def _shares(one: Candidate) -> tuple[str, ...]:
    return tuple(f"{value:.6g}" for value in (one.probability, one.peak, one.mean))


def _write(path: Path, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    write_text(path, text.getvalue())
