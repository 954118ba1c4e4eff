"""The first page: the images of the study."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote

from nicegui import events, ui

from hilum.studio.desk import Desk
from hilum.studio.gallery import FILTERS, SORTS, Entry, arranged, entries
from hilum.studio.pages.frame import aside, figure, frame, quoted, show_findings, told
from hilum.studio.places import gather_images
from hilum.studio.rounds import headline
from hilum.studio.uploads import LIMIT_FILE_BYTES, add_image, home_of
from hilum.study.study import Finding
from hilum.verbs.inspect import inspect

SHOWN = 120


def images_page(desk: Desk) -> None:
    """Build the page."""
    desk.refresh(always=False)
    with frame(desk, "/", "Images"):
        with ui.element("div").classes("row"):
            ui.html(f"<h1>{len(desk.view.cases)} images</h1>", sanitize=False)
            ui.label(desk.view.study.layout).classes("soft")
        _warnings(desk)
        _scores(desk)
        _loose(desk)
        _adding(desk)
        _gallery(desk)


def _warnings(desk: Desk) -> None:
    """What the layout tells at once; what only a look at every pixel tells comes a moment later."""

    @ui.refreshable
    def shown(findings: tuple[Finding, ...]) -> None:
        show_findings(findings)

    shown(desk.inspected if desk.inspected is not None else desk.view.findings)
    if desk.inspected is not None or not desk.view.study.cases:
        return

    async def look_closer() -> None:
        with told():
            found = await aside(lambda: inspect(desk.folder))
            desk.inspected = found.study.findings
            shown.refresh(desk.inspected)

    ui.timer(0.4, look_closer, once=True)


def _scores(desk: Desk) -> None:
    chosen = desk.run
    if chosen is None:
        return
    with told(), ui.element("div").classes("figures"):
        for name, value in headline(chosen):
            figure(value, f"{name}, out of fold, {chosen.folder.name}")


def _loose(desk: Desk) -> None:
    """Offer to move loose images where masks can lie beside them."""
    free = [case for case in desk.view.cases if case.image.path.parent == desk.view.root]
    if desk.view.study.cases or not free:
        return
    with ui.element("div").classes("card row"):
        ui.label(
            f"{len(free)} images lie loose in this folder. To be painted they need a folder of their own, "
            "with their masks beside it: images/ and masks/."
        )

        def move() -> None:
            with told():
                gather_images(desk.view)
                desk.refresh()
                ui.navigate.reload()

        ui.button("Move them into images/", on_click=move).props("no-caps unelevated")
        ui.label("Or label them as whole images, which needs no moving:").classes("soft")
        ui.link("Label", "/label")


def _adding(desk: Desk) -> None:
    with ui.expansion("Add images").classes("card"):
        ui.label(f"They are copied into {home_of(desk.view)}").classes("soft small-text")

        async def took(event: events.UploadEventArguments) -> None:
            with told(), tempfile.TemporaryDirectory(prefix="hilum-") as folder:
                path = Path(folder) / "content"
                await event.file.save(path)
                new = add_image(desk.view, event.file.name, path)
                ui.notify(f"{new.name} is in {new.parent.name}/")

        def finished(_event: events.MultiUploadEventArguments) -> None:
            desk.refresh()
            ui.navigate.reload()

        ui.upload(
            multiple=True,
            auto_upload=True,
            max_file_size=LIMIT_FILE_BYTES,
            on_upload=took,
            on_multi_upload=finished,
            on_rejected=lambda _: ui.notify("Too large: copy such files into the folder", type="warning"),
            label="Drop images here, or press + to choose them",
        ).props('flat bordered aria-label="Add images"').style("width: 100%; max-width: none")


def _gallery(desk: Desk) -> None:
    found = entries(desk.view, desk.all_targets(), desk.run)
    with ui.element("div").classes("row end"):
        sort = (
            ui.select(SORTS, value="name", label="Sort by").props("dense outlined").style("min-width: 12rem")
        )
        keep = ui.select(FILTERS, value="all", label="Show").props("dense outlined").style("min-width: 10rem")
        text = ui.input("Find", placeholder="name, group or split").props("dense outlined clearable")
        counted = ui.label().classes("soft").props('role="status"')

    @ui.refreshable
    def tiles() -> None:
        chosen = arranged(found, str(sort.value), str(keep.value), str(text.value or ""))
        counted.set_text(f"{len(chosen)} of {len(found)}")
        page = "/label" if desk.view.kind == "labels" else "/paint"
        ui.html("".join(_tile(one, page) for one in chosen[:SHOWN]), sanitize=False).classes("gallery")
        if len(chosen) > SHOWN:
            ui.label(f"{len(chosen) - SHOWN} more: find them by name, group or split").classes("soft")

    tiles()
    for widget in (sort, keep, text):
        widget.on_value_change(lambda: tiles.refresh())


def _tile(one: Entry, page: str) -> str:
    """One image as a link; plain HTML, since a study has many of them."""
    chips = [(name, "yes") for name in one.annotated] or [("not annotated", "")]
    chips += [(f"no {name}", "warn") for name in one.missing if one.annotated]
    chips += [(f"worst Dice {one.dice:.2f}", "")] if one.dice is not None and page == "/paint" else []
    chips += [(one.flag, "flag")] if one.flag else []
    words = " ".join(f'<span class="chip {kind}">{quoted(text)}</span>' for text, kind in chips)
    under = " · ".join(
        filter(
            None,
            [
                f"group {one.group}" if one.group and one.group != one.name else "",
                f"split {one.split}" if one.split else "",
            ],
        )
    )
    name = quoted(one.name)
    return (
        f'<a class="tile" href="{page}?case={quote(one.name)}">'
        f'<img loading="lazy" alt="" width="190" height="142" '
        f'src="/api/thumbnail?case={quote(one.name)}"><span class="words"><span class="name">{name}</span>'
        f'<span class="soft">{quoted(under)}</span><span class="chips">{words}</span></span></a>'
    )
