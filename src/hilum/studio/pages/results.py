"""The page of results: measurement tables, box plots, operating points, downloads, the report."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from nicegui import ui

from hilum.studio.aside import aside
from hilum.studio.charts import box_options
from hilum.studio.desk import Desk
from hilum.studio.labels import froc_rows, judged, threshold_of
from hilum.studio.pages.canvas import OperatingCurve
from hilum.studio.pages.frame import figure, frame, told
from hilum.studio.pages.plain import quoted
from hilum.studio.rounds import Round, all_rounds, headline, table
from hilum.studio.tables import PAINTED, columns_of, filtered, grouped, measured, summed_up, with_folders


def results_page(desk: Desk, run: str = "") -> None:
    """Build the page."""
    done = {one.name: one for one in all_rounds(desk.runs) if one.state == "done"}
    chosen = run if run in done else desk.run.folder.name if desk.run is not None else ""
    with frame(desk, "/results", "Results"):
        ui.html("<h1>Results</h1>", sanitize=False)
        if not done:
            ui.label("No model is trained yet. What you painted can be measured already.").classes("card")
        else:
            _head(done, chosen)
            with told():
                _decisions(done[chosen])
        if desk.view.kind != "labels":
            _measurements(desk, done.get(chosen))


def _head(done: dict[str, Round], chosen: str) -> None:
    with ui.element("div").classes("row end"):
        pick = (
            ui.select(list(done), value=chosen, label="Round")
            .props("dense outlined")
            .style("min-width: 9rem")
        )
        pick.on_value_change(lambda e: ui.navigate.to(f"/results?run={quote(str(e.value))}"))
        ui.link("The report", f"/api/report?run={quote(chosen)}", new_tab=True).props('id="report"')
        folder = done[chosen].run.folder / "evaluation"
        for name in ("measurements.csv", "measurements.xlsx", "regions.csv", "cases.csv", "nodules.csv"):
            if (folder / name).is_file():
                ui.link(name, f"/api/table?run={quote(chosen)}&name={name}").props(
                    f'download data-table="{name}"'
                )
    with ui.element("div").classes("figures"), told():
        for name, value in headline(done[chosen].run):
            figure(value, f"{name}, out of fold")


def _decisions(one: Round) -> None:
    """Operating points of a classifier (a class of several against the rest) or of a detector."""
    summary = one.run.summary()
    if "auc" in summary:
        names = list(summary.get("per_class", {})) or list(one.run.plan.data.outputs)
        positive = summary.get("positive") or names[-1]
        with ui.element("section").classes("card").props('aria-label="Operating point"'):
            ui.html("<h2>Operating point</h2>", sanitize=False)
            place = ui.element("div")
            if "positive" not in summary:
                pick = ui.select(names, value=positive, label="Class against the rest").props(
                    "dense outlined"
                )
                pick.on_value_change(lambda e: _roc(place, one, str(e.value)))
            _roc(place, one, str(positive))
    elif "froc" in summary:
        hits, alarms, nodules, scans = froc_rows(one.run)
        start = (summary.get("operating_point") or {}).get("threshold") or 0.5
        with ui.element("section").classes("card").props('aria-label="FROC"'):
            ui.html("<h2>FROC</h2>", sanitize=False)
            OperatingCurve(hits, alarms, "nodule", float(start), total=nodules, scans=max(1, scans))


def _roc(place: ui.element, one: Round, positive: str) -> None:
    rows = judged(one.run, positive)
    place.clear()
    with place:
        if not rows or len({label for _, label in rows}) < 2:
            ui.label("There is no case of both kinds: no curve can be drawn.").classes("soft")
            return
        hits, alarms = ([p for p, label in rows if label == wanted] for wanted in (1, 0))
        OperatingCurve(hits, alarms, positive, threshold_of(one.run, positive))


def _measurements(desk: Desk, one: Round | None) -> None:
    with ui.element("section").classes("card").props('aria-label="Measurements"'):
        ui.html("<h2>Measurements</h2>", sanitize=False)
        sources = {"model": f"Masks of the model ({one.name}, out of fold)"} if one is not None else {}
        sources["painted"] = "Masks as painted"
        with ui.element("div").classes("row end"):
            source = ui.select(sources, value=next(iter(sources)), label="Of").props("dense outlined")
            source.style("min-width: 17rem")
            text = ui.input("Filter", placeholder="words that a row holds").props("dense outlined clearable")
        body = ui.element("div")

        async def load() -> None:
            with told():
                if source.value == "model" and one is not None:
                    name = "nodules.csv" if desk.view.kind == "marks" else "measurements.csv"
                    rows: list[dict[str, Any]] = list(table(one.run.evaluation / name))
                else:
                    folder = desk.runs / PAINTED
                    rows = await aside(lambda: measured(desk.view, folder))
                body.clear()
                with body:
                    _table(with_folders(desk.view, rows), text)

        source.on_value_change(load)
        ui.timer(0.05, load, once=True)


def _table(rows: list[dict[str, Any]], text: ui.input) -> None:
    groups, numbers = columns_of(rows)
    if not rows or not numbers:
        ui.label("Nothing is measured: there is no mask.").classes("soft")
        return
    value_first = next((name for name in ("area", "volume", "volume_mm3") if name in numbers), numbers[0])
    by_first = next((name for name in ("target", "group") if name in groups), groups[0])
    unit = str(rows[0].get("unit", ""))
    with ui.element("div").classes("row end"):
        value = (
            ui.select(numbers, value=value_first, label="Value")
            .props("dense outlined")
            .style("min-width: 10rem")
        )
        by = (
            ui.select(groups, value=by_first, label="Grouped by")
            .props("dense outlined")
            .style("min-width: 10rem")
        )
        targets = sorted({str(row["target"]) for row in rows if "target" in row})
        only = ui.select(["all", *targets], value="all", label="Target").props("dense outlined")
        only.style("min-width: 10rem")
    chart = ui.echart({}).classes("plot").props('data-plot="boxes"')
    summary = ui.html("", sanitize=False)
    columns = [
        {"name": name, "label": name.replace("_", " "), "field": name, "sortable": True, "align": "left"}
        for name in rows[0]
    ]
    shown = ui.table(columns=columns, rows=[], pagination=15).props('dense flat id="measurements"')
    shown.style("width: 100%")

    def update() -> None:
        chosen = filtered(rows, str(text.value or ""))
        chosen = [row for row in chosen if only.value in ("all", row.get("target"))]
        found = grouped(chosen, str(by.value), str(value.value))
        label = f"{value.value} ({unit})" if value.value in ("area", "volume") and unit else str(value.value)
        chart.options.clear()
        chart.options.update(box_options(found, label))
        chart.update()
        summary.set_content(_summary(found))
        shown.rows = [{key: _short(cell) for key, cell in row.items()} for row in chosen]
        shown.update()

    for widget in (value, by, only, text):
        widget.on_value_change(lambda: update())
    update()


def _short(cell: Any) -> Any:
    return (
        f"{cell:.4g}"
        if isinstance(cell, float) and abs(cell) < 1000
        else f"{cell:,.0f}"
        if isinstance(cell, float)
        else cell
    )


def _summary(groups: dict[str, list[float]]) -> str:
    rows = "".join(
        f"<tr><td>{quoted(str(one['group']))}</td><td class=number>{one['n']}</td>"
        + "".join(
            f"<td class=number>{_short(one[key]) if one[key] is not None else '–'}</td>" for key in _COLUMNS
        )
        + "</tr>"
        for one in summed_up(groups)
    )
    head = "".join(f"<th class=number>{name}</th>" for name in ("n", *_COLUMNS))
    return f'<table class="plain" data-plot="summary"><tr><th></th>{head}</tr>{rows}</table>'


_COLUMNS = ("mean", "sd", "median")
