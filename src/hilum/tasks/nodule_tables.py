"""What a detection run left in its folder, read for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.files import read_rows
from hilum.reporting.numbers import number
from hilum.training.run import Run

NUMBERS = frozenset(
    (
        *("coordX", "coordY", "coordZ", "diameter_mm", "distance_mm", "volume_mm3", "mean_hu", "wall_mm"),
        *("probability", "first_probability", "peak_probability", "mean_probability", "dice", "lungs_l"),
        *("found", "nodules", "false_positives", "candidates"),
    )
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Detection:
    """Summary and tables of a detection run: numbers are floats, NaN where a cell is empty.

    `caveat` says why its scores are too good, where they are.
    """

    summary: Row
    candidates: tuple[Row, ...]
    nodules: tuple[Row, ...]
    cases: tuple[Row, ...]
    caveat: str = ""

    @property
    def found(self) -> list[Row]:
        """True nodules that a candidate at or above the operating threshold hits, the least certain first."""
        found = [row for row in self.nodules if row["found"] == 1]
        return sorted(found, key=lambda row: number(row.get("probability")))

    @property
    def missed(self) -> list[Row]:
        """True nodules that none hits, the largest first."""
        missed = [row for row in self.nodules if row["found"] != 1]
        return sorted(missed, key=lambda row: -number(row.get("diameter_mm")))

    @property
    def false(self) -> list[Row]:
        """Candidates that hit nothing, the most probable first."""
        false = [row for row in self.candidates if row.get("status") == "false"]
        return sorted(false, key=lambda row: -number(row.get("probability")))

    @property
    def threshold(self) -> float:
        """Probability from which a candidate counts, the mean over folds; NaN where it is not stated."""
        return number((self.summary.get("operating_point") or {}).get("threshold"))

    def threshold_of(self, scan: str) -> float:
        """The probability that counted in one scan, which is that of its fold."""
        own = next((row.get("threshold") for row in self.cases if row["case"] == scan), None)
        return self.threshold if own is None else number(own)


def read_detection(run: Run) -> Detection:
    """Read evaluation/ of a run. Raises RunError where a table is missing or no table of this kind."""
    needed = {
        "candidates": ("seriesuid", "coordX", "coordY", "coordZ", "probability", "status"),
        "nodules": ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "found"),
        "cases": ("case", "nodules", "found", "false_positives"),
    }
    tables = {name: _rows(run.evaluation / f"{name}.csv", columns) for name, columns in needed.items()}
    return Detection(run.summary(), tables["candidates"], tables["nodules"], tables["cases"], run.caveat)


def _rows(path: Path, columns: Sequence[str]) -> tuple[Row, ...]:
    rows = read_rows(path, columns)
    return tuple({key: number(cell) if key in NUMBERS else cell for key, cell in row.items()} for row in rows)
