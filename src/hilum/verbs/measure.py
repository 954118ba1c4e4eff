"""`hilum measure`: areas, counts and regions of mask files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum.image.spacing import parse_spacing
from hilum.measurement.measure import measure_files
from hilum.measurement.table import write_tables


def measure(
    masks: Sequence[str | Path], *, spacing: str | None = None, out: str | Path | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows by image and by region; written to folder `out` where that is given.

    `spacing` like "0.65um" wins over what the files carry. Raises ImageError for an unreadable mask.
    """
    given = parse_spacing(spacing) if spacing else None
    rows, regions = measure_files([Path(path) for path in masks], given)
    if out is not None:
        write_tables(rows, regions, Path(out))
    return rows, regions
