"""The page where rounds of training are started, watched, stopped and compared."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from nicegui import ui

from hilum.errors import HilumError
from hilum.studio import jobs
from hilum.studio.aside import aside
from hilum.studio.charts import curve_keys, curve_options
from hilum.studio.comparing import Change, better, changes, pairs
from hilum.studio.desk import Desk
from hilum.studio.pages.frame import figure, frame, told
from hilum.studio.pages.plain import quoted
from hilum.studio.rounds import Round, all_rounds, headline, use_run
from hilum.studio.training import (
    JOB,
    begin_round,
    history_rows,
    predicted_cases,
    progress_rows,
    resume_round,
    startable,
)

EVERY_S = 1.0
SHOWN = 24


def train_page(desk: Desk) -> None:
    """Build the page."""
    desk.refresh(always=False)
    with frame(desk, "/train", "Train"):
        ui.html("<h1>Train</h1>", sanitize=False)
        _start(desk)
        live = _Live(desk)
        live.build()
        ui.timer(EVERY_S, live.update)
        _rounds(desk)


def _start(desk: Desk) -> None:
    annotated = len(desk.view.study.cases)
    base = startable(desk)
    with ui.element("section").classes("card").props('aria-label="A new round"'):
        with ui.element("div").classes("row end"):
            minutes = ui.number("Minutes", value=5, min=0.1, max=10_000, step=1).props("dense outlined")
            minutes.style("width: 8rem")
            go_on = ui.checkbox("Go on from the model in use", value=base is not None)
            go_on.set_enabled(base is not None)
            if desk.run is not None and base is None:
                go_on.tooltip("Not possible: the targets are others than those of the model in use")
            start = ui.button("Start training").props('no-caps unelevated id="start"')
        words = f"{annotated} annotated images. Paint on meanwhile; folds and scoring are within the time."
        ui.label(
            words if annotated else "Nothing is annotated yet: paint some masks, or give labels, first."
        ).classes("soft")
        with ui.expansion("Settings, as for hilum train --set").classes("small-text"):
            settings = ui.textarea("KEY=VALUE, one a line").props('dense outlined aria-label="Settings"')
            settings.style("width: 24rem")
            steps = ui.number("Steps a fold, instead of minutes", min=1).props("dense outlined")

    def begin() -> None:
        with told():
            lines = [line.strip() for line in str(settings.value or "").splitlines() if line.strip()]
            count = int(steps.value) if steps.value else None
            begin_round(desk, float(minutes.value or 5), count, fresh=not go_on.value, settings=lines)
            ui.navigate.reload()

    start.on_click(begin)
    if jobs.status(desk.runs, JOB).state == "running" or not annotated:
        start.disable()


class _Live:
    """What the running training shows: its curve grows, its predictions come fold by fold."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.was = jobs.status(desk.runs, JOB).state
        self.shown: list[str] = []
        self.charts: dict[str, ui.echart] = {}

    def build(self) -> None:
        """Place the widgets; they are filled by `update`."""
        with ui.element("section").classes("card").props('aria-label="Progress"') as self.box:
            with ui.element("div").classes("row"):
                self.words = ui.label().props('role="status" aria-live="polite" id="progress-words"')
                self.stop = ui.button("Stop", on_click=self._stop).props("no-caps outline")
                self.stop.tooltip("What is done is kept; the round can be resumed")
            self.bar = ui.linear_progress(0, show_value=False).props('aria-label="Progress" instant-feedback')
            self.plots = ui.element("div").classes("row")
            self.gallery = ui.html("", sanitize=False).classes("gallery")
            self.log = ui.label().classes("log")
        self.update()

    def _stop(self) -> None:
        jobs.stop(self.desk.runs, JOB)
        ui.notify("Stopping at the end of this step; what is done is kept")

    def update(self) -> None:
        """Show where the training stands now."""
        found = jobs.status(self.desk.runs, JOB)
        self.box.set_visibility(found.state != "none")
        if found.state == "none":
            return
        self.stop.set_visibility(found.state == "running")
        share, words = _progress(found)
        self.bar.set_value(round(share, 3))
        self.words.set_text(words)
        self.log.set_text("\n".join(found.told[-12:]))
        self._draw()
        self._pictures()
        if self.was == "running" and found.state != "running":
            ui.navigate.reload()
        self.was = found.state

    def _draw(self) -> None:
        rows = progress_rows(self.desk)
        with self.plots:
            for key in curve_keys(rows):
                options = curve_options(rows, key)
                if key not in self.charts:
                    self.charts[key] = ui.echart(options).style(
                        "width: 23.5rem; max-width: 100%; height: 250px"
                    )
                    self.charts[key].props(f'data-curve="{quoted(key)}"')
                elif self.charts[key].options != options:
                    self.charts[key].options.clear()
                    self.charts[key].options.update(options)
                    self.charts[key].update()

    def _pictures(self) -> None:
        rounds = all_rounds(self.desk.runs)
        if not rounds:
            return
        last = rounds[-1]
        names = [name for name in predicted_cases(last.run) if name in self.desk.view.by_name][-SHOWN:]
        if names != self.shown:
            self.shown = names
            self.gallery.set_content("".join(_picture(last, name) for name in reversed(names)))


def _picture(one: Round, name: str) -> str:
    return (
        f'<a class="tile" href="/paint?case={quote(name)}">'
        f'<img loading="lazy" alt="Prediction of {quoted(name)}" '
        f'src="/api/predicted?run={quote(one.name)}&case={quote(name)}"><span class="words">'
        f'<span class="name">{quoted(name)}</span>'
        f'<span class="soft">out of fold, {quoted(one.name)}</span></span></a>'
    )


def _progress(found: jobs.Status) -> tuple[float, str]:
    """How far a training is, 0 to 1, and the same in words."""
    last = found.last
    share = float(last["step"]) / float(last["steps"]) if last else 0.0
    where = (
        f"fold {last['fold'] + 1}, step {last['step']} of {last['steps']}" if last else "reading the images"
    )
    spent = time.time() - found.began
    match found.state:
        case "running":
            return share, f"Training: {where}, {spent / 60:.1f} min"
        case "done":
            return 1.0, "The last training is done"
        case "failed":
            return share, f"The last training failed: {found.error}"
        case _:
            why = f" It ended by itself: {found.error}." if found.error else ""
            return share, f"The last training was stopped: {where}.{why} It can be resumed below."


def _rounds(desk: Desk) -> None:
    rounds = all_rounds(desk.runs)
    if not rounds:
        return
    busy = jobs.status(desk.runs, JOB).state == "running"
    chosen = desk.run
    ui.html("<h2>Rounds</h2>", sanitize=False)
    for one in reversed(rounds):
        current = chosen is not None and chosen.folder == one.run.folder
        with ui.element("section").classes("card").props(f'data-round="{one.name}"'):
            with ui.element("div").classes("row"):
                ui.html(f"<h2>{quoted(one.name)}</h2>", sanitize=False)
                ui.label("in use" if current else "").classes("chip yes" if current else "")
                if one.state == "done":
                    with told():
                        for name, value in headline(one.run):
                            figure(value, f"{name}, out of fold")
                else:
                    ui.label("running" if busy and one is rounds[-1] else "stopped").classes("chip warn")
                    if not busy:
                        ui.button("Resume", on_click=lambda _, n=one.name: _again(desk, n)).props("no-caps")
                if one.state == "done" and not current:
                    ui.button(f"Use {one.name}", on_click=lambda _, n=one.name: _use(desk, n)).props(
                        "no-caps outline"
                    )
                if one.state == "done":
                    ui.link("Report", f"/api/report?run={quote(one.name)}", new_tab=True)
            if one.state == "done" and chosen is not None and not current:
                _compared(desk, one)
            if one.state == "done":
                _curves(one)


def _again(desk: Desk, name: str) -> None:
    with told():
        resume_round(desk, name)
        ui.navigate.reload()


def _use(desk: Desk, name: str) -> None:
    with told():
        use_run(desk.runs, name)
        ui.navigate.reload()


def _compared(desk: Desk, one: Round) -> None:
    """Before and after on the cases both held out; looked at in a thread, since masks are read."""
    before = desk.run
    if before is None:
        return
    box = ui.element("div").props(f'data-comparison="{one.name}"')

    async def fill() -> None:
        try:
            found = await aside(lambda: changes(pairs(desk.view, before, one.run)))
        except HilumError as error:
            found = None
            with box:
                ui.label(str(error)).classes("soft")
        if found:
            with box:
                _comparison(before.folder.name, one.name, found)

    ui.timer(0.1, fill, once=True)


def _comparison(before: str, after: str, found: list[Change]) -> None:
    rows = "".join(
        f"<tr><td>{quoted(c.target)}</td><td class=number>{c.cases}</td><td class=number>{c.before:.3f}</td>"
        f"<td class=number>{c.after:.3f}</td><td class=number>{_span(c)}</td><td>{c.verdict}</td></tr>"
        for c in found
    )
    head = f"<tr><th></th><th class=number>held-out cases</th><th class=number>{quoted(before)}</th>"
    head += f"<th class=number>{quoted(after)}</th><th class=number>change</th><th></th></tr>"
    ui.html(f'<table class="plain">{head}{rows}</table>', sanitize=False)
    words = (
        f"{after} is at least as good on the same held-out cases: use it if you agree."
        if better(found)
        else f"{after} is not better on the same held-out cases. {before} stays in use unless you choose."
    )
    ui.label(words).classes("good" if better(found) else "warn")


def _span(change: Change) -> str:
    low, high = change.interval
    return f"{change.difference:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if low == low else "")


def _curves(one: Round) -> None:
    with ui.expansion("Curves").classes("small-text") as box:
        pass
    drawn: list[Any] = []

    def draw() -> None:
        if drawn:
            return
        with box, ui.element("div").classes("row"), told():
            rows = history_rows(one.run)
            for key in curve_keys(rows):
                drawn.append(ui.echart(curve_options(rows, key)).style("width: 23.5rem; height: 250px"))

    box.on_value_change(draw)
