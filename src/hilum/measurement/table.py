"""The measurement tables: a row for each image and target, and a row for each of their regions."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.files import whole_file
from hilum.image.spacing import Spacing
from hilum.measurement.regions import Region, measure_regions

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

EXCEL_ROWS = 1_048_576
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
    valid: NDArray[np.bool_] | None = None,
) -> tuple[list[Row], list[Row]]:
    """Measure the masks (Y, X) or (Z, Y, X) of one image: rows of targets and rows of their regions.

    A row has `case`, `target`, `pixels`, `share_percent` of the image (or of its `valid` part, outside
    of which nothing is measured), `area` with `unit` px², µm² or mm² (in 3D `volume` with px³, µm³ or
    mm³, and `volume_ml` where the spacing is known), the number of `regions` and `touches_border`.
    Raises HilumError where shapes do not fit.
    """
    rows: list[Row] = []
    region_rows: list[Row] = []
    for target, whole in masks.items():
        if valid is not None and valid.shape != whole.shape:
            raise HilumError(f"{case}: mask {whole.shape} and valid part {valid.shape} must have one shape")
        mask = np.asarray(whole, bool) if valid is None else np.asarray(whole, bool) & valid
        regions = measure_regions(mask, spacing, (probabilities or {}).get(target))
        image_pixels = mask.size if valid is None else int(np.count_nonzero(valid))
        rows.append(_row(case, target, regions, spacing, image_pixels))
        region_rows += [_region_row(case, target, i + 1, region, spacing) for i, region in enumerate(regions)]
    return rows, region_rows


def write_tables(rows: Sequence[Row], region_rows: Sequence[Row], folder: Path) -> None:
    """Write measurements.csv, regions.csv and measurements.xlsx with both as sheets.

    Text that a spreadsheet would run as a formula (a case named "=1+1") is stored as text: with a
    leading apostrophe in CSV, as a text cell in Excel. Files appear whole or not at all.
    """
    tables = {"measurements": to_table(rows), "regions": to_table(region_rows)}
    for name, table in tables.items():
        with whole_file(Path(folder) / f"{name}.csv") as beside:
            safe = table.map(_safe).rename(columns=_safe)
            safe.to_csv(beside, index=False, encoding="utf-8", float_format="%.10g", lineterminator="\n")
    with whole_file(Path(folder) / "measurements.xlsx") as beside:
        _write_workbook(tables, beside)


def to_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a table; columns in order of appearance, and those of an empty table where there are none."""
    import pandas as pd

    return pd.DataFrame(list(rows)) if rows else pd.DataFrame(columns=pd.Index(_EMPTY_COLUMNS))


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


def _write_workbook(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for name, table in tables.items():
        if len(table) >= EXCEL_ROWS:
            log.warning("%s.csv has all %d rows; Excel holds the first %d", name, len(table), EXCEL_ROWS - 1)
        _fill(book.create_sheet(name.capitalize()), table.head(EXCEL_ROWS - 1))
    book.save(path)


def _fill(sheet: Any, table: pd.DataFrame) -> None:
    """Rows into a sheet whose head is bold and stays in view."""
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
    for values in table.itertuples(index=False, name=None):
        sheet.append([_cell(sheet, value) for value in values])


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
