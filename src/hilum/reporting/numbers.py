"""Numbers as people read them: thousands apart, units said, an en dash where there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NONE = "–"


def number(value: Any) -> float:
    """`value` as a float; NaN for None, empty text and anything that is no number.

    >>> number("0.5"), number(None)
    (0.5, nan)
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def known(*values: Any) -> bool:
    """Whether all are finite numbers.

    >>> known(0.5, "1"), known(0.5, None)
    (True, False)
    """
    return all(math.isfinite(number(value)) for value in values)


def score(value: Any, digits: int = 3) -> str:
    """A score with fixed digits.

    >>> score(0.94216), score(float("nan"))
    ('0.942', '–')
    """
    found = number(value)
    return f"{found:.{digits}f}" if math.isfinite(found) else NONE


def count(value: Any) -> str:
    """A whole number with thousands apart.

    >>> count(812345)
    '812,345'
    """
    found = number(value)
    return f"{round(found):,}" if math.isfinite(found) else NONE


def share(value: Any, digits: int = 1) -> str:
    """A fraction of one as per cent.

    >>> share(0.561)
    '56.1 %'
    """
    found = number(value)
    return f"{100 * found:.{digits}f} %" if math.isfinite(found) else NONE


def interval(pair: Sequence[Any] | None, digits: int = 3) -> str:
    """A confidence interval in brackets, or nothing where there is none.

    >>> interval([0.9211, 0.9608])
    '[0.921, 0.961]'
    """
    low, high = ends(pair)
    return f"[{low:.{digits}f}, {high:.{digits}f}]" if math.isfinite(low + high) else ""


def ends(pair: Sequence[Any] | None) -> tuple[float, float]:
    """Both ends of an interval, NaN where there is none."""
    return (number(pair[0]), number(pair[1])) if pair is not None and len(pair) == 2 else (math.nan, math.nan)


def quantity(value: Any, unit: str = "") -> str:
    """A measured value to four significant digits, with its unit.

    >>> quantity(12.3456, "µm"), quantity(0.000012, "mm"), quantity(81234.5, "px")
    ('12.35 µm', '1.2e-05 mm', '81,234 px')
    """
    found = number(value)
    if not math.isfinite(found):
        return NONE
    return f"{decimal(found)} {unit}".strip()


def decimal(value: float) -> str:
    """About four significant digits, thousands apart, no exponent where it can be avoided."""
    size = abs(value)
    if value == 0 or size >= 1000 or (size >= 100 and value == round(value)):
        return f"{value:,.0f}"
    if size < 1e-3:
        return f"{value:.2g}"
    return f"{value:.{max(0, min(4, 3 - math.floor(math.log10(size))))}f}"


def duration(seconds: Any) -> str:
    """Seconds in the units of a clock.

    >>> duration(7.25), duration(125), duration(7325)
    ('7.2 s', '2 min 5 s', '2 h 2 min')
    """
    found = number(seconds)
    if not math.isfinite(found):
        return NONE
    if found < 60:
        return f"{found:.1f} s"
    minutes, rest = divmod(round(found), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def cell(value: Any) -> str:
    """Any value as the text of a table cell.

    >>> cell(True), cell(1200), cell(0.5), cell(None), cell("12")
    ('yes', '1,200', '0.5000', '–', '12')
    """
    match value:
        case None | "":
            return NONE
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(cell(item) for item in value) or NONE
    if hasattr(value, "item"):
        return cell(value.item())
    if isinstance(value, float):
        return decimal(value) if math.isfinite(value) else NONE
    return str(value)
