"""One self-contained HTML file from sections of blocks."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hilum.files import write_text
from hilum.reporting.blocks import Block, Figure, Headline, Section
from hilum.reporting.thumbnails import bytes_uri


@dataclass(frozen=True)
class _Placed:
    """A section with the anchor it has on this page and its figures gathered into rows."""

    title: str
    anchor: str
    rows: tuple[tuple[str, tuple[Block, ...]], ...]


def render(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    summary_cards: Sequence[Headline] = (),
    *,
    made: datetime | None = None,
    version: str | None = None,
) -> str:
    """The page as HTML: every text escaped, every picture inside, nothing loaded from elsewhere."""
    template = _environment().get_template("report.html.j2")
    script = _asset("report.js")
    return template.render(
        title=title,
        subtitle=subtitle,
        sections=_placed(sections),
        headlines=list(summary_cards),
        made=f"{made or datetime.now():%Y-%m-%d %H:%M}",
        version=version or _version(),
        style=Markup(_asset("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def write_report(
    path: Path, title: str, subtitle: str, sections: Sequence[Section], summary_cards: Sequence[Headline] = ()
) -> Path:
    """Render and write the page, whole or not at all; returns its path."""
    write_text(path, render(title, subtitle, sections, summary_cards))
    return path


def _placed(sections: Sequence[Section]) -> list[_Placed]:
    used: set[str] = set()
    placed = []
    for section in sections:
        anchor, tail = section.slug, 2
        while anchor in used:
            anchor, tail = f"{section.slug}-{tail}", tail + 1
        used.add(anchor)
        placed.append(_Placed(section.title, anchor, tuple(_rows(section.blocks))))
    return placed


def _rows(blocks: Sequence[Block]) -> Iterator[tuple[str, tuple[Block, ...]]]:
    """Neighbouring figures share a row; every other block stands alone under its kind."""
    for is_figure, run in groupby(blocks, key=lambda block: isinstance(block, Figure)):
        if is_figure:
            yield "figures", tuple(run)
        else:
            for block in run:
                yield block.kind, (block,)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hilum.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure_uri"] = lambda figure: bytes_uri(figure.content, figure.media)
    environment.filters["css_colour"] = lambda colour: "#{:02x}{:02x}{:02x}".format(*colour)
    return environment


@lru_cache(maxsize=4)
def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8").strip()


def _version() -> str:
    try:
        return importlib.metadata.version("hilum")
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"
