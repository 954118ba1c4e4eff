"""What a page is made of: sections of blocks, each a small piece of plain data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from hilum.reporting import numbers


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Facts:
    """Names and values, one below the other."""

    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """Rows under column names. Numbers are formatted, right-aligned and sort as numbers.

    `digits` fixes the decimals of a column by its name; `code` names columns set in typewriter face;
    `widths` are shares of the whole in per cent, where several tables should stand in line.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    note: str = ""
    digits: tuple[tuple[str, int], ...] = ()
    code: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    sortable: bool = True
    kind: ClassVar[str] = "table"

    @cached_property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers only (and gaps)."""
        return tuple(_is_numeric([row[place] for row in self.rows]) for place in range(len(self.columns)))

    def shown(self, row: Sequence[Any]) -> tuple[tuple[str, str], ...]:
        """Text and sort key of each cell of a row."""
        fixed = dict(self.digits)
        return tuple(
            (_text(value, fixed.get(name)), _sort_key(value, numeric))
            for name, value, numeric in zip(self.columns, row, self.numeric, strict=True)
        )


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG or PNG bytes with its caption; `wide` takes the whole width."""

    content: bytes
    caption: str
    title: str = ""
    media: str = "image/svg+xml"
    wide: bool = False
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Panel:
    """One picture of a card: a data URI and what it shows."""

    uri: str
    label: str = ""


@dataclass(frozen=True)
class Card:
    """Pictures of one case with its figures; `score` orders a gallery from worst to best."""

    title: str
    panels: tuple[Panel, ...]
    facts: tuple[tuple[str, str], ...] = ()
    group: str = ""
    caption: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Gallery:
    """Cards of pictures. Cards of one picture stand in columns, others take a row each."""

    cards: tuple[Card, ...]
    kind: ClassVar[str] = "gallery"

    @property
    def compact(self) -> bool:
        """Whether every card holds one picture at most."""
        return all(len(card.panels) <= 1 for card in self.cards)


@dataclass(frozen=True)
class Legend:
    """What colours mean."""

    entries: tuple[tuple[str, tuple[int, int, int]], ...]
    kind: ClassVar[str] = "legend"


@dataclass(frozen=True)
class Callout:
    """A note, warning or error set apart, with what it is about."""

    severity: str
    text: str
    items: tuple[str, ...] = ()
    kind: ClassVar[str] = "callout"


Block = Text | Heading | Facts | Table | Figure | Gallery | Legend | Callout


@dataclass(frozen=True)
class Section:
    """A titled part of the page; `anchor` is made from the title where it is empty."""

    title: str
    blocks: tuple[Block, ...]
    anchor: str = ""

    @property
    def slug(self) -> str:
        """The anchor in letters that are safe in an address.

        >>> Section("Scores, per case", ()).slug
        'scores-per-case'
        """
        return re.sub(r"[^a-z0-9]+", "-", (self.anchor or self.title).lower()).strip("-") or "section"


@dataclass(frozen=True)
class Headline:
    """A figure at the top of the page, with its interval where it has one.

    `spread` is the interval as text; `value` and `interval` lie on the scale from `low` to `high`;
    `detail` says over what it was measured.
    """

    label: str
    text: str
    detail: str = ""
    spread: str = ""
    value: float | None = None
    interval: tuple[float, float] | None = None
    low: float = 0.0
    high: float = 1.0

    @property
    def span(self) -> tuple[float, float, float] | None:
        """Left end, right end and point in per cent of the scale; None where there is no interval."""
        if self.interval is None or self.value is None:
            return None
        width = (self.high - self.low) or 1.0
        places = [100 * (part - self.low) / width for part in (*self.interval, self.value)]
        if any(place != place for place in places):
            return None
        left, right, point = (min(100.0, max(0.0, place)) for place in places)
        return left, right, point


def headline(
    label: str, value: Any, interval: Sequence[Any] | None = None, detail: str = "", digits: int = 2
) -> Headline:
    """A headline of a score between 0 and 1 with its interval.

    >>> headline("Dice", 0.94, [0.92, 0.96], "14 cases").spread
    '[0.92, 0.96]'
    """
    ends = numbers.ends(interval)
    found = numbers.number(value)
    known = all(part == part for part in (*ends, found))
    spread = numbers.interval(interval, digits)
    text = numbers.score(value, digits)
    return Headline(label, text, detail, spread, found if known else None, ends if known else None)


def _is_numeric(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None and value != ""]
    return bool(present) and all(_is_number(value) for value in present)


def _is_number(value: Any) -> bool:
    """A number, a number with its unit as text, an interval; a bare number as text may be a name."""
    if isinstance(value, str):
        return (
            value == numbers.NONE or re.fullmatch(r"[-−]?[\d.,]+ [^\d\s]{1,4}|\[[^\]]*\]", value) is not None
        )
    return hasattr(value, "__float__") and not isinstance(value, bool)


def _text(value: Any, digits: int | None) -> str:
    if digits is not None and hasattr(value, "__float__") and not isinstance(value, bool):
        return numbers.score(value, digits)
    return numbers.cell(value)


def _sort_key(value: Any, numeric: bool) -> str:
    """A number to sort by; names have none, and the page sorts them as people count: a2 before a10."""
    if isinstance(value, str):
        value = value.split(" ")[0].strip("[],").replace(",", "").replace("−", "-") if numeric else ""
    found = numbers.number(value)
    return f"{found:.9g}" if found == found else ""
