"""Pieces of HTML that all pages share, and a whole page of plain HTML."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.studio.desk import Desk
from hilum.study.study import Finding

LINKS = (
    ("/", "Images", ()),
    ("/paint", "Look and paint", ()),
    ("/label", "Label", ("labels", "none")),
    ("/train", "Train", ()),
    ("/results", "Results", ()),
    ("/next", "What next?", ("masks", "labels", "none")),
)
THEME = '<script src="/studio-static/theme.js"></script>'
STYLE = '<link rel="stylesheet" href="/studio-static/studio.css">'
SKIP = '<a class="skip" href="#main">To the content</a>'
_SHOWN = 4


def quoted(text: str) -> str:
    """Text as it can stand in an attribute."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def _named(desk: Desk, name: str) -> str:
    """The name of a page; nothing is painted in a study of labels or of marks."""
    return "Look" if name == "Look and paint" and desk.view.kind in ("labels", "marks") else name


def head(desk: Desk, path: str) -> str:
    """The head of a page: its links, the study's folder, dark or light."""
    links = "".join(
        f'<a href="{address}"{" aria-current=page" if address == path else ""}>{_named(desk, name)}</a>'
        for address, name, kinds in LINKS
        if not kinds or desk.view.kind in kinds
    )
    root = quoted(str(desk.view.root))
    return (
        f'<header class="top"><div class="brand">Hilum studio</div><nav aria-label="Pages">{links}</nav>'
        f'<span class="grow"></span><div class="study" title="{root}">{root}</div>'
        '<button id="dark" class="plain" type="button" title="Dark or light">Dark / light</button></header>'
    )


def whole_page(desk: Desk, path: str, title: str, content: str, script: str) -> str:
    """A page that is there at once, since nothing but our own few files is loaded for it."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{quoted(title)} – Hilum studio'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="/favicon.ico">{STYLE}'
        f'<script type="module" src="/studio-static/{script}"></script></head>'
        f'<body class="plain-page">{THEME}{SKIP}{head(desk, path)}'
        f'<main id="main" tabindex="-1" class="main">{content}</main></body></html>'
    )


def findings_html(findings: Sequence[Finding]) -> str:
    """What inspect warns of, the worst first; many of them can be unfolded."""
    lines = [
        f'<div class="finding {one.severity}">{one.severity.capitalize()}: {quoted(one.message)}</div>'
        for one in findings
    ]
    more = lines[_SHOWN:]
    rest = f"<details><summary>{len(more)} more</summary>{''.join(more)}</details>" if more else ""
    return "".join(lines[:_SHOWN]) + rest


def figure_html(value: str, label: str) -> str:
    """A number with what it says."""
    return (
        f'<div class="figure"><div class="value">{quoted(value)}</div>'
        f'<div class="label">{quoted(label)}</div></div>'
    )
