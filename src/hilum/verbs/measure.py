"""`hilum measure`: areas, counts and regions of mask files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum.errors import HilumError, ImageError
from hilum.exchange.drawn import is_drawn, measure_drawn
from hilum.image.readers import readable
from hilum.image.spacing import Spacing, parse_spacing
from hilum.measurement.measure import measure_files
from hilum.measurement.table import write_tables


def measure(
    masks: Sequence[str | Path] | str | Path,
    *,
    spacing: str | None = None,
    out: str | Path | None = None,
    objects: bool = False,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows by image and by region; written to folder `out` where that is given.

    `spacing` like "0.65um", or of volumes in the order z, y, x like "2.5x0.7x0.7mm", wins over what the
    files carry. With `objects` each whole number in a mask is an object of its own. Files of annotations
    (GeoJSON) are measured by their polygons. Raises ImageError for an unreadable mask, HilumError where `out`
    holds the tables of a prediction.
    """
    given = _parsed(spacing) if spacing else None
    paths = [Path(path) for path in ([masks] if isinstance(masks, str | Path) else masks)]
    paths = [file for path in paths for file in _drawn_in(path) or [path]]
    drawn = [path for path in paths if is_drawn(path) and path.is_file()]
    if drawn and objects:
        raise HilumError(
            f"--objects: {drawn[0]} holds polygons, each an object already; measure it without --objects"
        )
    if out is not None:
        _check_out(Path(out))
    files = [path for path in paths if path not in drawn]
    rows, regions = measure_files(files, given, objects) if files or not drawn else ([], [])
    if drawn:
        more, more_regions = measure_drawn(drawn, given)
        rows, regions = [*rows, *more], [*regions, *more_regions]
    if out is not None:
        write_tables(rows, regions, Path(out))
    return rows, regions


def _drawn_in(path: Path) -> list[Path]:
    """Files of annotations in a folder that holds no image beside them."""
    found = sorted(path.glob("*.geojson")) if path.is_dir() else []
    return found if found and not any(readable(each.name) for each in path.iterdir()) else []


def _check_out(out: Path) -> None:
    """Raise HilumError where the tables would take the place of those of a run or prediction."""
    table, masks = out / "measurements.csv", out / "masks"
    if table.is_file() and (masks.is_dir() or (out / "summary.json").is_file()):
        raise HilumError(f"--out {out}: holds the tables of a prediction, {table.name}; name another folder")


def _parsed(text: str) -> Spacing:
    """One size for all axes, two (y, x) or three (z, y, x). Raises ImageError that says so."""
    sizes = len(re.split("[x,]", text))
    try:
        return parse_spacing(text, ndim=min(max(sizes, 2), 3))
    except ImageError as error:
        if sizes == 1 or re.search(r"\d,\d", text):
            raise
        order = "several sizes go in the order y, x (0.5x0.7mm) or z, y, x (2.5x0.7x0.7mm)"
        raise ImageError(f"{error}; {order}") from error
