"""Pixel sizes from the resolution that raster files carry, where it can be a physical one."""

from __future__ import annotations

import math

from hilum.image.spacing import Spacing

INCH_UM = 25_400.0
CM_UM = 10_000.0
METRE_UM = 1_000_000.0

# Cameras, scanners, screens and office software write these dots per inch into every file, whatever it
# shows. A calibrated microscope or detector meets one of them by rare chance only, and to call a pixel
# unknown is the smaller harm.
SOFTWARE_DPI = (
    *(72, 75, 90, 96, 100, 120, 144, 150, 180, 192, 200, 220, 240, 266, 300, 350, 360, 400, 450),
    *(480, 500, 600, 720, 800, 900, 1000, 1200, 1440, 1800, 2000, 2400, 2880, 3200, 3600, 4000, 4800, 9600),
)
_SMALLEST_UM, _LARGEST_UM = 1e-4, 5_000.0


def spacing_from_density(per_y: float, per_x: float, unit_um: float) -> Spacing | None:
    """Spacing (Y, X) of `per_y` and `per_x` pixels a unit of `unit_um` µm; None where it is not physical.

    Not physical are: values that software writes by default (SOFTWARE_DPI, within one dot an inch), pixels
    smaller than 0.1 nm or larger than 5 mm, and pixels more than ten times longer than wide.

    >>> spacing_from_density(72, 72, INCH_UM) is None
    True
    >>> spacing_from_density(20_000, 20_000, CM_UM)
    Spacing(0.5 x 0.5 µm)
    """
    if not all(math.isfinite(per) and per > 0 for per in (per_y, per_x)):
        return None
    sizes = (unit_um / per_y, unit_um / per_x)
    if any(_is_default(INCH_UM / size) or not _SMALLEST_UM <= size <= _LARGEST_UM for size in sizes):
        return None
    if max(sizes) > 10 * min(sizes):
        return None
    return spacing_in_um(sizes)


def spacing_in_um(sizes_um: tuple[float, ...]) -> Spacing:
    """A spacing of sizes in µm, told in mm where all of them are 0.1 mm or more."""
    if min(sizes_um) >= 100:
        return Spacing(tuple(size / 1000 for size in sizes_um), "mm")
    return Spacing(sizes_um, "um")


def _is_default(dpi: float) -> bool:
    return any(abs(dpi - usual) <= 1 for usual in SOFTWARE_DPI)
