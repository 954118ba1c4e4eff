"""CSV tables of nodules as LUNA16 and Tianchi have them: marks in, candidates and submissions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hilum.ct.candidates import Candidate, rows_of
from hilum.files import write_rows
from hilum.study.mark_tables import PLACE, place_of, read_marks, read_table

__all__ = [
    "read_marks",
    "read_submission",
    "read_table",
    "write_submission",
]


def write_submission(path: Path, found: Mapping[str, Sequence[Candidate]]) -> None:
    """Write `seriesuid,coordX,coordY,coordZ,probability`, as the challenges take it."""
    columns = (*PLACE, "probability")
    rows = [
        dict(zip(columns, (uid, *_digits(one.centre), f"{one.probability:.6g}"), strict=True))
        for uid, one in rows_of(found)
    ]
    write_rows(path, rows, columns)


def read_submission(path: str | Path) -> dict[str, list[tuple[tuple[float, float, float], float]]]:
    """Centre (x, y, z) in mm and probability of each row, by series."""
    found: dict[str, list[tuple[tuple[float, float, float], float]]] = {}
    for row in read_table(path, (*PLACE, "probability"), (*PLACE[1:], "probability")):
        found.setdefault(row["seriesuid"], []).append((place_of(row), float(row["probability"])))
    return found


def _digits(values: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in values)
