"""`hilum plan`: every setting of a run, each planned value with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hilum.planning.device import find_device
from hilum.planning.document import write_plan
from hilum.planning.plan import Plan
from hilum.planning.planner import Wishes, make_plan, wished_group_by
from hilum.study.open import open_study
from hilum.training.fitting import fitted_to_memory
from hilum.verbs.folding import plan_folds


def plan(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    folds: int | None = None,
    recipe: str | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    group_by: str | None = None,
    skip_bad: bool = False,
) -> Plan:
    """Plan a training without doing it; written as YAML to `out` where that is given.

    Raises StudyError where the folder is not a sound study, PlanError for a wrong recipe or setting.
    """
    wishes = Wishes(minutes, steps, folds, recipe, tuple(settings), device, group_by)
    study = open_study(Path(folder), group_by=wished_group_by(wishes), skip_bad=skip_bad)
    splits = plan_folds(study, wishes)
    planned = make_plan(study, wishes, len(splits.folds), splits.reason).plan
    planned = fitted_to_memory(planned, find_device(device).memory_bytes)
    if out is not None:
        write_plan(planned, Path(out))
    return planned
