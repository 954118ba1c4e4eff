"""The page where one image is looked at and painted."""

from __future__ import annotations

from nicegui import ui

from hilum.studio.desk import Desk
from hilum.studio.pages.canvas import Canvas
from hilum.studio.pages.frame import frame, told
from hilum.studio.places import gather_images


def paint_page(desk: Desk, case: str = "") -> None:
    """Build the page."""
    desk.refresh(always=False)
    names = [one.name for one in desk.view.cases]
    with frame(desk, "/paint", "Paint", wide=True):
        if not names:
            ui.label("There is no image yet.").classes("card")
            return
        with ui.dialog() as dialog, ui.card():
            ui.label(
                "These images lie loose in their folder. Masks need them in images/, with masks/ beside it, "
                "as the command line reads it. Shall they be moved there? Of a scan of DICOM slices a copy "
                "is written there as one file, and its slices are kept in .studio/originals."
            )
            with ui.row():
                ui.button("Move them into images/", on_click=lambda: _move(desk)).props("no-caps unelevated")
                ui.button("Not now", on_click=dialog.close).props("no-caps flat")
        Canvas(names, case if case in desk.view.by_name else names[0], lambda: dialog.open())


def _move(desk: Desk) -> None:
    with told():
        gather_images(desk.view)
        desk.refresh()
        ui.navigate.to("/paint")
