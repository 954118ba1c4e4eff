"""Pixel sizes of a TIFF file: from OME-XML, from ImageJ's or Aperio's description, else from the tags."""

from __future__ import annotations

import html
import math
import re
from typing import Any

from hilum.image.resolution import CM_UM, INCH_UM, spacing_from_density, spacing_in_um
from hilum.image.spacing import Spacing, unknown_spacing

_UNIT_UM = {
    "pm": 1e-6, "å": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": CM_UM, "centimeter": CM_UM,
    "m": 1e6, "meter": 1e6, "in": INCH_UM, "inch": INCH_UM,
}  # fmt: skip
_RESOLUTION_UNIT_UM = {2: INCH_UM, 3: CM_UM}
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296


def read_spacing(tif: Any, page: Any, volume: bool) -> tuple[Spacing, tuple[str, ...]]:
    """Spacing (Y, X), or (Z, Y, X) of a `volume`, of an open tifffile.TiffFile and its page, with notes.

    A volume whose distance of planes is not stated has unknown spacing, for it is never guessed.
    """
    plane, depth = _plane_and_depth(tif, page)
    if plane is None:
        return unknown_spacing(2 + volume), ()
    if not volume:
        return plane, ()
    if depth is None:
        note = (
            f"the pixel size is {plane} but the distance of planes is not stated, so the spacing is unknown"
        )
        return unknown_spacing(3), (note,)
    depth_in_unit = depth / (1000 if plane.unit == "mm" else 1)
    return Spacing((depth_in_unit, *plane.sizes), plane.unit), ()


def _plane_and_depth(tif: Any, page: Any) -> tuple[Spacing | None, float | None]:
    """Spacing (Y, X) and the distance of planes in µm, each None where unknown."""
    if tif.is_ome:
        plane, depth = _from_ome(page.description or "")
        if plane is not None:
            return plane, depth
    if tif.is_imagej:
        return _from_imagej(tif.imagej_metadata or {}, page)
    if tif.is_svs and page.index == 0:
        plane = _from_aperio(page.description or "")
        if plane is not None:
            return plane, None
    unit_um = _RESOLUTION_UNIT_UM.get(_number(page, _RESOLUTION_UNIT, 2), 0.0)
    per_y, per_x = _density(page, _Y_RESOLUTION), _density(page, _X_RESOLUTION)
    return (spacing_from_density(per_y, per_x, unit_um) if unit_um else None), None


def _from_ome(description: str) -> tuple[Spacing | None, float | None]:
    """PhysicalSizeY, X and Z of the first Pixels element (Open Microscopy Environment schema 2016-06)."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", description)
    if pixels is None:
        return None, None
    found = {name: html.unescape(text) for name, text in re.findall(r'(\w+)\s*=\s*"([^"]*)"', pixels[1])}
    y, x, z = (_ome_size(found, axis) for axis in "YXZ")
    if y is None or x is None:
        return None, None
    units = {found.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YX"}
    if units == {"mm"}:
        return Spacing((y[0], x[0]), "mm"), z[1] if z else None
    if units <= {"µm", "um", "μm"}:
        return Spacing((y[0], x[0]), "um"), z[1] if z else None
    return spacing_in_um((y[1], x[1])), z[1] if z else None


def _ome_size(found: dict[str, str], axis: str) -> tuple[float, float] | None:
    """One physical size as written and in µm."""
    unit_um = _UNIT_UM.get(found.get(f"PhysicalSize{axis}Unit", "µm").lower())
    try:
        size = float(found.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    return (size, size * unit_um) if unit_um and _sensible(size * unit_um) else None


def _from_aperio(description: str) -> Spacing | None:
    """Micrometres a pixel of the full slide, which the first page of an .svs states as `MPP = 0.4990`."""
    found = re.search(r"\|\s*MPP\s*=\s*([\d.]+)\s*(?:\||$)", description)
    try:
        size = float(found[1]) if found else math.nan
    except ValueError:
        return None
    return Spacing((size, size), "um") if _sensible(size) else None


def _from_imagej(metadata: dict[str, Any], page: Any) -> tuple[Spacing | None, float | None]:
    """ImageJ keeps pixels a unit in the resolution tags, and names the unit in its description."""
    unit = _unit_name(metadata.get("unit", ""))
    unit_um = _UNIT_UM.get(unit)
    if any(_unit_name(metadata.get(key, unit)) != unit for key in ("yunit", "zunit")):
        return None, None
    per_y, per_x = _density(page, _Y_RESOLUTION), _density(page, _X_RESOLUTION)
    if unit_um is None or not _sensible(per_y) or not _sensible(per_x):
        return None, None
    if unit_um == INCH_UM:
        return spacing_from_density(per_y, per_x, unit_um), None
    depth = metadata.get("spacing")
    known = isinstance(depth, int | float) and _sensible(abs(depth))
    return spacing_in_um((unit_um / per_y, unit_um / per_x)), abs(
        float(depth)
    ) * unit_um if known and depth else None


def _unit_name(text: Any) -> str:
    return str(text).replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip().lower()


def _density(page: Any, code: int) -> float:
    """Pixels a unit of a rational resolution tag, 0 where it has none."""
    value = page.tags.valueof(code)
    if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, int) for part in value)):
        return 0.0
    return value[0] / value[1] if value[1] else 0.0


def _number(page: Any, code: int, default: int) -> int:
    value = page.tags.valueof(code, default)
    return int(value) if isinstance(value, int) else default


def _sensible(value: float) -> bool:
    return math.isfinite(value) and 1e-9 < value < 1e12
