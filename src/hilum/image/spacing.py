"""Size of a pixel or voxel, with its unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hilum.errors import ImageError

UNITS = ("px", "um", "mm")
_SYMBOLS = {"px": "px", "um": "µm", "mm": "mm"}
_IN_UM = {
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
_WORDS = {"nano": "nm", "micro": "um", "milli": "mm", "centi": "cm", "": "m"}


@dataclass(frozen=True)
class Spacing:
    """Size of a pixel along each spatial axis, in array order: (Y, X) or (Z, Y, X).

    `unit` is "px" (unknown, all sizes are 1), "um" or "mm".

    >>> Spacing((0.65, 0.65), "um")
    Spacing(0.65 x 0.65 µm)
    >>> Spacing((0.5, 2.0), "um").pixel_size
    1.0
    """

    sizes: tuple[float, ...]
    unit: str = "px"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ImageError(f"spacing unit {self.unit!r} is not one of {', '.join(UNITS)}")
        if not all(math.isfinite(size) and size > 0 for size in self.sizes):
            raise ImageError(f"spacing {self.sizes} must be finite and above zero")

    def __repr__(self) -> str:
        return f"Spacing({self})"

    def __str__(self) -> str:
        return f"{' x '.join(f'{size:.4g}' for size in self.sizes)} {self.symbol}"

    @property
    def known(self) -> bool:
        """Whether the sizes are physical; False for "px"."""
        return self.unit != "px"

    @property
    def symbol(self) -> str:
        """The unit as people write it: px, µm or mm."""
        return _SYMBOLS[self.unit]

    @property
    def pixel_size(self) -> float:
        """Area (2D) or volume (3D) of one pixel in units squared or cubed."""
        return math.prod(self.sizes)

    def scaled(self, factor: float) -> Spacing:
        """The spacing after the image was shrunk by `factor`; unknown stays unknown."""
        return Spacing(tuple(size * factor for size in self.sizes), self.unit) if self.known else self

    def along(self, ndim: int) -> Spacing | None:
        """The spacing of an image of so many axes, one size for all where there is one; None else.

        >>> Spacing((2.0, 2.0), "mm").along(3), Spacing((2.0, 1.0), "mm").along(3)
        (Spacing(2 x 2 x 2 mm), None)
        """
        if len(self.sizes) == ndim:
            return self
        return Spacing(self.sizes[:1] * ndim, self.unit) if len(set(self.sizes)) == 1 else None


def unknown_spacing(ndim: int) -> Spacing:
    """Spacing of an image that carries none: one px along each of `ndim` axes."""
    return Spacing((1.0,) * ndim, "px")


def unit_in_mm(word: str) -> float | None:
    """How many millimetres one unit of length is, None where the word is none that is known.

    >>> unit_in_mm("cm"), unit_in_mm("Microns"), unit_in_mm("millimetres"), unit_in_mm("ms")
    (10.0, 0.001, 1.0, None)
    """
    plain = word.strip().lower()
    match = re.fullmatch(r"(nano|micro|milli|centi|)met(?:er|re)s?", plain)
    size = _IN_UM.get(_WORDS[match[1]] if match else plain)
    return None if size is None else size / _IN_UM["mm"]


def parse_spacing(text: str, ndim: int = 2) -> Spacing:
    """Read a spacing as users type it: "0.65um", "0.5x0.7 mm" (in array order), "1px".

    Raises ImageError where the text is not a size and a unit; "1,5um" could be one size or two.

    >>> parse_spacing("650nm")
    Spacing(0.65 x 0.65 µm)
    """
    if re.search(r"\d,\d", text):
        one, several = text.strip().replace(",", "."), text.strip().replace(",", "x")
        advice = one if "x" in text or re.match(r"\s*0+,", text) else f"{one}, or {several} for several sizes"
        raise ImageError(f"spacing {text!r} has a comma: write {advice}")
    match = re.fullmatch(r"\s*([\d.eE+-]+(?:\s*[x,]\s*[\d.eE+-]+)*)\s*([a-zµμ]+)\s*", text)
    try:
        sizes = [float(part) for part in re.split(r"[x,]", match[1])] if match else []
    except ValueError:
        sizes = []
    unit = match[2] if match else ""
    if unit == "px" and sizes:
        return unknown_spacing(ndim)
    if len(sizes) not in (1, ndim) or unit not in _IN_UM:
        raise ImageError(f"spacing {text!r} is not understood: write a size and a unit, like 0.65um")
    sizes = sizes * ndim if len(sizes) == 1 else sizes
    stored = "mm" if unit in ("mm", "cm", "m") else "um"
    factor = _IN_UM[unit] / _IN_UM[stored]
    return Spacing(tuple(size * factor for size in sizes), stored)
