"""`hilum report`: the one page of a run, made from what lies in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hilum import tasks
from hilum.planning.draft import flat
from hilum.reporting.blocks import Section
from hilum.reporting.page import write_report
from hilum.reporting.sections import curves_section, environment_section, plan_section, study_section
from hilum.study.names import counted
from hilum.study.study import Finding, Study
from hilum.training.run import Run, open_run


def report(run_folder: str | Path) -> Path:
    """Write report.html of a run; its path. Raises RunError where the folder is not a trained run."""
    run = open_run(Path(run_folder))
    task = tasks.get_task(run.plan.task)
    study = run.study
    sections: list[Section] = [
        *task.sections(run, study),
        curves_section({f"fold {index}": run.history(index) for index in run.trained_folds()}),
        study_section(_study_facts(study, run)),
        plan_section(_plan_rows(run)),
        environment_section(run.manifest),
    ]
    title = f"{study.root.name}: {', '.join(run.plan.data.outputs)}"
    folds, name = len(run.trained_folds()), run.folder.resolve().name
    subtitle = f"{counted(len(study.cases), 'case')}, {counted(folds, 'fold')}, {run.plan.task}, run {name}"
    return write_report(run.folder / "report.html", title, subtitle, sections, task.headlines(run))


def _study_facts(study: Study, run: Run) -> dict[str, Any]:
    return {
        "name": study.root.name,
        "layout": study.layout,
        "cases": len(study.cases),
        "groups": len(study.groups),
        "grouping": study.grouping,
        "folds": run.splits.reason,
        "findings": (*_seen_before(run), *study.findings),
    }


def _seen_before(run: Run) -> list[Finding]:
    """A warning where the network of `--init` had learnt from what this run is scored on."""
    return [Finding("warning", run.caveat)] if run.caveat else []


def _plan_rows(run: Run) -> list[tuple[str, Any, str]]:
    """The settings in use: those that its task reads."""
    unread = set(tasks.get_task(run.plan.task).unread)
    values = run.plan.model_dump(mode="json", exclude_none=True, exclude=unread)
    return [(key, value, run.plan.reasons.get(key, "")) for key, value in flat(values)]
