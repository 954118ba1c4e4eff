"""Tasks by name. The registry and what a task says are early on the road, the tasks themselves late."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hilum.study.study import Study
    from hilum.tasks.task import Task

_TASKS = {
    "segment": "hilum.tasks.segment:SEGMENT",
    "classify": "hilum.tasks.classify:CLASSIFY",
    "detect": "hilum.tasks.detect:DETECT",
}


def get_task(name: str) -> Task:
    """A task by name. Raises PlanError that lists the names."""
    from hilum.errors import PlanError

    if name not in _TASKS:
        raise PlanError(f"task: {name!r} is not a task; choose one of {', '.join(_TASKS)}")
    module, _, attribute = _TASKS[name].partition(":")
    return cast("Task", getattr(importlib.import_module(module), attribute))


def find_task(study: Study) -> Task:
    """The task that a study is annotated for. Raises StudyError where there is none."""
    from hilum.errors import StudyError

    for name in _TASKS:
        task = get_task(name)
        if task.accepts(study):
            return task
    raise StudyError(f"{study.root}: {len(study.cases)} images, but no masks, labels or marks to learn from")
