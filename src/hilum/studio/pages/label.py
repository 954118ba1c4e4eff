"""The page where whole images are labelled with the keys 1 to 9, and the model's mistakes are looked at."""

from __future__ import annotations

from urllib.parse import quote

from nicegui import ui
from nicegui.events import KeyEventArguments

from hilum.studio.desk import Desk
from hilum.studio.labels import Mistake, free_classes, give_label, is_labelled, label_of, mistakes
from hilum.studio.pages.frame import frame, told
from hilum.studio.pages.plain import quoted
from hilum.studio.places import plain_target


def label_page(desk: Desk, case: str = "") -> None:
    """Build the page."""
    desk.refresh(always=False)
    with frame(desk, "/label", "Label"):
        if not desk.view.cases:
            ui.label("There is no image yet.").classes("card")
            return
        _Labeller(desk, case).build()
        _mistakes(desk)


class _Labeller:
    """One image large, with its classes as buttons and keys."""

    def __init__(self, desk: Desk, case: str) -> None:
        self.desk = desk
        names = [one.name for one in desk.view.cases]
        open_ = [one.name for one in desk.view.cases if not is_labelled(one)]
        self.names, self.case = names, case if case in names else (open_ or names)[0]

    def build(self) -> None:
        """Place the widgets."""
        ui.keyboard(on_key=self._key, ignore=["input", "textarea", "select"])
        self.show = ui.refreshable(self._show)
        self.show()

    def _show(self) -> None:
        case = self.desk.view.by_name[self.case]
        done = sum(is_labelled(one) for one in self.desk.view.cases)
        with ui.element("div").classes("labeller"):
            alt = quoted(f"Image {self.case}")
            ui.html(f'<img alt="{alt}" src="/api/picture?case={quote(self.case)}">', sanitize=False)
            with ui.element("div"):
                ui.html(f'<h1 id="labelled-case">{quoted(self.case)}</h1>', sanitize=False)
                place = f"{self.names.index(self.case) + 1} of {len(self.names)}; {done} labelled"
                ui.label(place).classes("soft").props('role="status" aria-live="polite" id="labelled-count"')
                self._buttons(label_of(case))
                self._new_class()
                with ui.element("div").classes("row"):
                    ui.button("‹ Before", on_click=lambda: self._go(-1)).props("no-caps flat dense")
                    ui.button("Next ›", on_click=lambda: self._go(1)).props("no-caps flat dense")
                ui.label(
                    "Keys 1 to 9 label and go on, 0 takes back, ← and → move. Kept in study.csv."
                ).classes("soft small-text")

    def _buttons(self, given: tuple[str, ...]) -> None:
        with ui.element("div").classes("classes").props('role="group" aria-label="Classes"'):
            for at, name in enumerate(self._classes()):
                button = ui.element("button").classes("plain").props('type="button"')
                button.props(f'aria-pressed="{str(name in given).lower()}"')
                with button:
                    key = f"<kbd>{at + 1}</kbd>" if at < 9 else ""
                    ui.html(f"{key}{quoted(name)}", sanitize=False, tag="span")
                button.on("click", lambda _, n=name: self._give(n))

    def _new_class(self) -> None:
        with ui.element("div").classes("row"):
            field = ui.input("New class").props("dense outlined").style("width: 10rem")

            def add() -> None:
                with told():
                    name = plain_target(str(field.value or ""))
                    if name not in self.desk.classes:
                        self.desk.classes.append(name)
                    self.show.refresh()

            field.on("keydown.enter", add)
            ui.button("Add", on_click=add).props("no-caps flat dense")

    def _classes(self) -> list[str]:
        return free_classes(self.desk.view, self.desk.classes)

    def _key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.action.repeat or event.modifiers.ctrl or event.modifiers.meta:
            return
        if event.key.arrow_left or event.key.arrow_right:
            self._go(1 if event.key.arrow_right else -1)
        elif event.key.number == 0:
            self._give("")
        elif event.key.number is not None and event.key.number <= len(self._classes()):
            self._give(self._classes()[event.key.number - 1])

    def _give(self, label: str) -> None:
        with told():
            view = self.desk.view
            give_label(view, view.by_name[self.case], label)
            self.desk.refresh()
            several = bool(view.study.classes) and not view.study.exclusive
            self._go(0 if several or not label else 1)

    def _go(self, way: int) -> None:
        at = min(max(self.names.index(self.case) + way, 0), len(self.names) - 1)
        self.case = self.names[at]
        self.show.refresh()


def _mistakes(desk: Desk) -> None:
    found = [one for one in mistakes(desk.run) if one.case in desk.view.by_name]
    if desk.run is None or desk.view.kind != "labels":
        return
    with ui.element("section").props('aria-label="Mistakes"'):
        name = quoted(desk.run.folder.name)
        ui.html(f"<h2>Where {name} is wrong, out of fold ({len(found)})</h2>", sanitize=False)
        ui.label("The surest first: the label may be wrong, or the image hard.").classes("soft")
        ui.html("".join(map(_mistake, found)), sanitize=False).classes("gallery").props('id="mistakes"')


def _mistake(one: Mistake) -> str:
    return (
        f'<a class="tile" href="/label?case={quote(one.case)}"><img loading="lazy" alt="" '
        f'src="/api/thumbnail?case={quote(one.case)}"><span class="words">'
        f'<span class="name">{quoted(one.case)}</span>'
        f"<span>says <b>{quoted(one.said)}</b> ({one.probability:.0%})</span>"
        f'<span class="soft">labelled {quoted(one.label)}</span></span></a>'
    )
