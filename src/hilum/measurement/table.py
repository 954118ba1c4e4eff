"""The measurement tables: a row for each image and target, and a row for each of their regions."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilum.files import whole_file
from hilum.image.spacing import Spacing
from hilum.measurement.regions import Region, measure_regions
from hilum.measurement.spool import Row, chunked, columns_of

if TYPE_CHECKING:
    import pandas as pd

EXCEL_ROWS = 1_048_576
ROWS_AT_ONCE = 5000
WIDEST_COLUMN = 48
MM_OF = {"mm": 1.0, "um": 1e-3}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_EMPTY_COLUMNS = ("case", "target")

log = logging.getLogger(__name__)


def measure_masks(
    case: str,
    masks: Mapping[str, NDArray[np.bool_]],
    spacing: Spacing,
    probabilities: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[list[Row], list[Row]]:
    """Measure the masks (Y, X) or (Z, Y, X) of one image: rows of targets and rows of their regions.

    A row has `case`, `target`, `pixels`, `share_percent` of the image, `area` with `unit` px², µm² or mm²
    (in 3D `volume` with px³, µm³ or mm³, and `volume_ml` where the spacing is known), the number of
    `regions` and `touches_border`.
    Raises HilumError where shapes do not fit.
    """
    rows: list[Row] = []
    region_rows: list[Row] = []
    for target, whole in masks.items():
        mask = np.asarray(whole, bool)
        regions = measure_regions(mask, spacing, (probabilities or {}).get(target))
        row, own = rows_of(case, target, regions, spacing, mask.size)
        rows.append(row)
        region_rows += own
    return rows, region_rows


def rows_of(
    case: str,
    target: str,
    regions: Sequence[Region],
    spacing: Spacing,
    image_pixels: int,
    numbers: Sequence[int] | None = None,
) -> tuple[Row, list[Row]]:
    """The row of one target of an image with so many pixels, and the rows of its regions.

    Regions are counted from 1 unless they have `numbers` of their own.
    """
    row = _row(case, target, regions, spacing, image_pixels)
    counted = range(1, len(regions) + 1) if numbers is None else numbers
    pairs = zip(counted, regions, strict=True)
    return row, [_region_row(case, target, number, region, spacing) for number, region in pairs]


def write_tables(rows: Collection[Row], region_rows: Collection[Row], folder: Path) -> None:
    """Write measurements.csv, regions.csv and measurements.xlsx with both as sheets.

    Text that a spreadsheet would run as a formula (a case named "=1+1") is stored as text: with a
    leading apostrophe in CSV, as a text cell in Excel. Files appear whole or not at all; rows go through
    memory some thousands at a time.
    """
    tables = {"measurements": rows, "regions": region_rows}
    for name, table in tables.items():
        with whole_file(Path(folder) / f"{name}.csv") as beside:
            for number, part in enumerate(_parts(table)):
                safe = part.map(_safe).rename(columns=_safe)
                safe.to_csv(
                    beside,
                    mode="a" if number else "w",
                    header=not number,
                    index=False,
                    encoding="utf-8",
                    float_format="%.10g",
                    lineterminator="\n",
                )
    with whole_file(Path(folder) / "measurements.xlsx") as beside:
        _write_workbook(tables, beside)


def _parts(rows: Collection[Row]) -> Iterator[pd.DataFrame]:
    """Rows as tables of one set of columns; an empty one where there are no rows."""
    import pandas as pd

    columns = pd.Index(columns_of(rows) or _EMPTY_COLUMNS)
    for part in chunked(rows, ROWS_AT_ONCE):
        yield pd.DataFrame(part, columns=columns)
    if not rows:
        yield pd.DataFrame(columns=columns)


def size_unit(spacing: Spacing) -> str:
    """The unit of areas (2D) or volumes (3D): px², µm², mm³ and so on.

    >>> size_unit(Spacing((0.5, 0.5), "um"))
    'µm²'
    """
    return spacing.symbol + ("²" if len(spacing.sizes) == 2 else "³")


def _row(case: str, target: str, regions: Sequence[Region], spacing: Spacing, image_pixels: int) -> Row:
    pixels = sum(region.pixels for region in regions)
    return {
        "case": case,
        "target": target,
        "pixels": pixels,
        "share_percent": 100 * pixels / image_pixels if image_pixels else float("nan"),
        **_size(pixels, spacing),
        "regions": len(regions),
        "touches_border": any(region.touches_border for region in regions),
    }


def _region_row(case: str, target: str, number: int, region: Region, spacing: Spacing) -> Row:
    axes = "zyx"[-len(region.centroid) :]
    return {
        "case": case,
        "target": target,
        "region": number,
        "pixels": region.pixels,
        **_size(region.pixels, spacing),
        "diameter": region.diameter,
        "diameter_unit": spacing.symbol,
        **{f"centroid_{axis}_px": place for axis, place in zip(axes, region.centroid, strict=True)},
        **{f"from_{axis}_px": place for axis, place in zip(axes, region.low, strict=True)},
        **{f"to_{axis}_px": place for axis, place in zip(axes, region.high, strict=True)},
        "mean_probability": region.mean_probability,
        "touches_border": region.touches_border,
    }


def _size(pixels: int, spacing: Spacing) -> Row:
    size = pixels * spacing.pixel_size
    if len(spacing.sizes) == 2:
        return {"area": size, "unit": size_unit(spacing)}
    millilitres = {"volume_ml": size * MM_OF[spacing.unit] ** 3 / 1000} if spacing.known else {}
    return {"volume": size, "unit": size_unit(spacing)} | millilitres


def _safe(value: Any) -> Any:
    """Text that a spreadsheet takes for text; other values as they are."""
    if not isinstance(value, str):
        return value
    text = _storable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _storable(text: str) -> str:
    """Text without what neither UTF-8 nor a workbook can hold: such characters become "?"."""
    return _CONTROL.sub("?", text.encode("utf-8", "replace").decode("utf-8"))


def _write_workbook(tables: Mapping[str, Collection[Row]], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for name, table in tables.items():
        if len(table) >= EXCEL_ROWS:
            log.warning("%s.csv has all %d rows; Excel holds the first %d", name, len(table), EXCEL_ROWS - 1)
        sheet = book.create_sheet(name.capitalize())
        left = EXCEL_ROWS - 1
        for number, part in enumerate(_parts(table)):
            if not number:
                _head(sheet, part)
            for values in part.head(left).itertuples(index=False, name=None):
                sheet.append([_cell(sheet, value) for value in values])
            left -= min(left, len(part))
    book.save(path)


def _head(sheet: Any, table: pd.DataFrame) -> None:
    """Columns as wide as their first thousand cells, under a bold head that stays in view."""
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    sheet.freeze_panes = "A2"
    columns = [str(column) for column in table.columns]
    for index, column in enumerate(columns, start=1):
        longest = max((len(_shown(value)) for value in table.iloc[:1000, index - 1]), default=0)
        sheet.column_dimensions[get_column_letter(index)].width = min(
            max(longest, len(column)) + 2, WIDEST_COLUMN
        )
    head = [_cell(sheet, column) for column in columns]
    for cell in head:
        cell.font = Font(bold=True)
    sheet.append(head)


def _cell(sheet: Any, value: Any) -> Any:
    """A cell that holds text as text, never as a formula; nothing for NaN."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, _storable(value))
        cell.data_type = "s"
        cell.quotePrefix = value.startswith(_FORMULA)
        return cell
    return None if value is None or value != value else WriteOnlyCell(sheet, value)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
