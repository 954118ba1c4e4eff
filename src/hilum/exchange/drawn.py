"""Tables of annotations that were drawn or exported: `hilum measure FILE.geojson`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hilum.errors import HilumError
from hilum.exchange.geojson import Shape, read_geojson, regions_of
from hilum.image.limits import shown
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.measurement.measure import fitted
from hilum.measurement.spool import Row
from hilum.measurement.table import rows_of
from hilum.study.names import unique_names

SUFFIXES = (".geojson", ".json")


def is_drawn(path: Path) -> bool:
    """Whether the name is one of a file of annotations.

    >>> is_drawn(Path("a.geojson")), is_drawn(Path("a.png"))
    (True, False)
    """
    return path.name.lower().endswith(SUFFIXES)


def measure_drawn(paths: Sequence[Path], spacing: Spacing | None = None) -> tuple[list[Row], list[Row]]:
    """Rows of classes and of their shapes, as of masks, with the exact area of the polygons.

    Shapes that overlap count twice. `spacing` wins over what a file says; without either areas are in
    pixels. The share of the image is told where the file says how large it is, and whether a shape touches
    its border is left open. Raises HilumError, with all bad files listed at once.
    """
    rows: list[Row] = []
    region_rows: list[Row] = []
    problems = []
    for path, case in zip(paths, _names_of(paths), strict=True):
        try:
            found = _measured(path, case, fitted(spacing, 2, path))
        except HilumError as error:
            problems.append(str(error))
            continue
        rows += found[0]
        region_rows += found[1]
    if problems:
        raise HilumError("\n".join(problems))
    return rows, region_rows


def _names_of(paths: Sequence[Path]) -> list[str]:
    """What tells files apart: their names without extension, and their folders where these are the same."""
    return unique_names([(*path.resolve().parts[:-1], path.stem) for path in paths])


def _measured(path: Path, case: str, wished: Spacing | None) -> tuple[list[Row], list[Row]]:
    found = read_geojson(path)
    if not found.shapes:
        raise HilumError(f"{shown(path)}: holds no polygons, so there is nothing to measure")
    spacing = wished or found.spacing or unknown_spacing(2)
    pixels = found.shape[0] * found.shape[1] if found.shape else 0
    rows: list[Row] = []
    region_rows: list[Row] = []
    by_target: dict[str, list[Shape]] = {}
    for one in found.shapes:
        by_target.setdefault(one.target, []).append(one)
    for target, shapes in by_target.items():
        regions = regions_of(shapes, spacing)
        row, own = rows_of(case, target, regions, spacing, pixels)
        area = sum(one.area for one in shapes)
        share = 100 * area / pixels if pixels else math.nan
        exact = {"share_percent": share, "area": area * spacing.pixel_size, "touches_border": math.nan}
        rows.append({**row, **exact})
        region_rows += [
            {**each, "area": region.size, "touches_border": math.nan}
            for each, region in zip(own, regions, strict=True)
        ]
    return rows, region_rows
