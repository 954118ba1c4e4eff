"""What all pages share: the head with its links, the style, how errors are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nicegui import ui

from hilum.errors import HilumError
from hilum.studio.desk import Desk
from hilum.studio.pages.plain import SKIP, STYLE, THEME, head


@contextlib.contextmanager
def frame(desk: Desk, path: str, title: str, wide: bool = False) -> Iterator[None]:
    """The head of a page and the place for its content."""
    ui.page_title(f"{title} – Hilum studio")
    ui.add_head_html(STYLE)
    ui.dark_mode(value=None)
    ui.colors(primary="#00577f", positive="#00694b", negative="#a32020", warning="#8a4b00")
    ui.html(SKIP, sanitize=False)
    ui.html(head(desk, path), sanitize=False)
    ui.add_body_html(THEME)
    with ui.element("main").props('id="main" tabindex="-1"').classes("main wide" if wide else "main"):
        yield


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors that a person can cause are shown as a message, and the page goes on."""
    try:
        yield
    except HilumError as error:
        ui.notify(str(error), type="negative", multi_line=True, timeout=12_000, close_button="Close")


def figure(value: str, label: str) -> None:
    """A number with what it says."""
    with ui.element("div").classes("figure"):
        ui.label(value).classes("value")
        ui.label(label).classes("label")
