"""What all pages share: the head with its links, the style, how errors are told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from nicegui import ui

from hilum.errors import HilumError
from hilum.studio.desk import Desk
from hilum.study.study import Finding

Result = TypeVar("Result")
LINKS = (
    ("/", "Images", ()),
    ("/paint", "Look and paint", ()),
    ("/label", "Label", ("labels", "none")),
    ("/train", "Train", ()),
    ("/results", "Results", ()),
    ("/next", "What next?", ("masks", "labels", "none")),
)


@contextlib.contextmanager
def frame(desk: Desk, path: str, title: str, wide: bool = False) -> Iterator[None]:
    """The head of a page and the place for its content."""
    ui.page_title(f"{title} – Hilum studio")
    ui.add_head_html('<link rel="stylesheet" href="/studio-static/studio.css">')
    ui.dark_mode(value=None)
    ui.colors(primary="#00577f", positive="#00694b", negative="#a32020", warning="#8a4b00")
    ui.html('<a class="skip" href="#main">To the content</a>', sanitize=False)
    with ui.element("header").classes("top"):
        ui.label("Hilum studio").classes("brand")
        with ui.element("nav").props('aria-label="Pages"'):
            for address, name, kinds in LINKS:
                if not kinds or desk.view.kind in kinds:
                    here = ' aria-current="page"' if address == path else ""
                    ui.html(f'<a href="{address}"{here}>{name}</a>', sanitize=False, tag="span")
        ui.element("span").classes("grow")
        ui.label(str(desk.view.root)).classes("study").props(f'title="{quoted(str(desk.view.root))}"')
        button = ui.element("button").classes("plain").props('type="button" title="Dark or light"')
        with button:
            ui.label("Dark / light")
        button.on("click", js_handler=_DARK)
    ui.add_body_html(f"<script>{_REMEMBERED}</script>")
    with ui.element("main").props('id="main" tabindex="-1"').classes("main wide" if wide else "main"):
        yield


_DARK = """() => {
    const dark = !document.body.classList.contains('body--dark');
    Quasar.Dark.set(dark); localStorage.setItem('hilum-dark', dark ? '1' : '0');
}"""
_REMEMBERED = """window.addEventListener('load', () => {
    const kept = localStorage.getItem('hilum-dark');
    if (kept !== null) setTimeout(() => Quasar.Dark.set(kept === '1'), 50);
});"""


def quoted(text: str) -> str:
    """Text as it can stand in an attribute."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


async def aside(work: Callable[[], Result]) -> Result:
    """What slow work gives, done in a thread that does not keep the studio from ending.

    Raises the HilumError that it raises.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Result] = loop.create_future()

    def settle(done: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the studio has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if waiting.done() else done())

    def run() -> None:
        try:
            result = work()
        except HilumError as error:
            caught = error
            settle(lambda: waiting.set_exception(caught))
        else:
            settle(lambda: waiting.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await waiting


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors that a person can cause are shown as a message, and the page goes on."""
    try:
        yield
    except HilumError as error:
        ui.notify(str(error), type="negative", multi_line=True, timeout=12_000, close_button="Close")


def show_findings(findings: Sequence[Finding], most: int = 4) -> None:
    """What inspect warns of, the worst first; many of them can be unfolded."""
    if not findings:
        return
    with ui.element("section").classes("findings").props('aria-label="What looks wrong"'):
        for finding in findings[:most]:
            _finding(finding)
        if len(findings) > most:
            with ui.expansion(f"{len(findings) - most} more"):
                for finding in findings[most:]:
                    _finding(finding)


def _finding(finding: Finding) -> None:
    with ui.element("div").classes(f"finding {finding.severity}"):
        ui.label(f"{finding.severity.capitalize()}: {finding.message}")


def chip(text: str, kind: str = "") -> None:
    """A small word with a rim."""
    ui.label(text).classes(f"chip {kind}")


def figure(value: str, label: str) -> None:
    """A number with what it says."""
    with ui.element("div").classes("figure"):
        ui.label(value).classes("value")
        ui.label(label).classes("label")
