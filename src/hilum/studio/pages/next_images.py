"""The page that says what to annotate next, and whether more images would help."""

from __future__ import annotations

import shutil
from urllib.parse import quote

from nicegui import ui

from hilum.errors import HilumError
from hilum.studio import jobs
from hilum.studio.charts import learning_options
from hilum.studio.desk import Desk
from hilum.studio.learning import read_curve
from hilum.studio.pages.frame import frame, told
from hilum.studio.pages.plain import quoted
from hilum.studio.ranking import Ranked, read_ranking, unannotated

RANK, CURVE = "rank", "curve"
SHOWN = 24


def next_page(desk: Desk) -> None:
    """Build the page."""
    desk.refresh(always=False)
    with frame(desk, "/next", "What next?"):
        ui.html("<h1>What next?</h1>", sanitize=False)
        _ranking(desk)
        _curve(desk)


def _ranking(desk: Desk) -> None:
    todo = [case.name for case in unannotated(desk.view)]
    with ui.element("section").classes("card").props('aria-label="Images to annotate next"'):
        ui.html("<h2>Images that would teach the model most</h2>", sanitize=False)
        if desk.run is None:
            ui.label("Train a model first: it is asked which images it is unsure of.").classes("soft")
            return
        ui.label(
            f"{len(todo)} images have no annotation. Each is predicted and ranked by how unsure "
            f"{desk.run.folder.name} is of it, and by how unlike it is to what is annotated."
        ).classes("soft")
        if not todo:
            return
        button = ui.button("Rank them", on_click=lambda: _begin_ranking(desk)).props(
            'no-caps unelevated id="rank"'
        )
        _followed(desk, RANK, button, "Ranking")
        order = [one for one in read_ranking(desk.run.folder) if one.case in todo]
        ui.html("".join(map(_tile, order[:SHOWN])), sanitize=False).classes("gallery").props('id="ranking"')


def _begin_ranking(desk: Desk) -> None:
    with told():
        if desk.run is None:
            raise HilumError("train a model first")
        desk.easel.save_all()
        jobs.begin(
            desk.runs, RANK, "rank", {"folder": str(desk.folder.resolve()), "run": str(desk.run.folder)}
        )
        ui.navigate.reload()


def _followed(desk: Desk, job: str, button: ui.button, verb: str) -> None:
    """Say how far a job is, and load the page again when it ends."""
    words = ui.label().props('role="status" aria-live="polite"')
    stop = ui.button("Stop", on_click=lambda: jobs.stop(desk.runs, job)).props("no-caps outline")
    was = [jobs.status(desk.runs, job).state]

    def update() -> None:
        found = jobs.status(desk.runs, job)
        running = found.state == "running"
        button.set_enabled(not running)
        stop.set_visibility(running)
        if running:
            last = found.last
            words.set_text(f"{verb}: {last['step']} of {last['steps']}" if last else f"{verb} …")
        elif found.error:
            words.set_text(found.error)
        if was[0] == "running" and not running:
            ui.navigate.reload()
        was[0] = found.state

    update()
    ui.timer(1.0, update)


def _tile(one: Ranked) -> str:
    return (
        f'<a class="tile" href="/paint?case={quote(one.case)}"><img loading="lazy" alt="" '
        f'src="/api/thumbnail?case={quote(one.case)}"><span class="words"><span class="name">{one.place}. '
        f'{quoted(one.case)}</span><span class="soft">{quoted(one.reason)}</span></span></a>'
    )


def _curve(desk: Desk) -> None:
    with ui.element("section").classes("card").props('aria-label="Learning curve"'):
        ui.html("<h2>Would more images help?</h2>", sanitize=False)
        ui.label(
            "Trains on a quarter, a half and all of the annotated images, scores all three on the same "
            "held-out cases, and says what the last doubling brought."
        ).classes("soft")
        with ui.element("div").classes("row end"):
            minutes = ui.number("Minutes for all", value=6, min=0.3, step=1).props("dense outlined")
            minutes.style("width: 9rem")
            button = ui.button("Measure", on_click=lambda: _begin_curve(desk, float(minutes.value or 6)))
            button.props('no-caps unelevated id="curve"')
        _followed(desk, CURVE, button, "Training")
        found = read_curve(desk.runs / ".curve")
        if found:
            ui.label(str(found["verdict"])).props('id="verdict"')
            ui.echart(learning_options(found["points"])).classes("plot")


def _begin_curve(desk: Desk, minutes: float) -> None:
    with told():
        if jobs.running(desk.runs):
            raise HilumError("another training runs; wait for it, or stop it first")
        desk.easel.save_all()
        out = desk.runs / ".curve"
        shutil.rmtree(out, ignore_errors=True)
        arguments = {"folder": str(desk.folder.resolve()), "out": str(out), "minutes": minutes}
        jobs.begin(desk.runs, CURVE, "curve", arguments)
        ui.navigate.reload()
