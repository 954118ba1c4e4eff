"""`hilum plan`: every setting of a run, each planned value with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hilum.planning.document import write_plan
from hilum.planning.plan import Plan
from hilum.planning.planner import Wishes, wished_group_by
from hilum.study.open import open_study
from hilum.verbs.planned import planned
from hilum.verbs.resuming import Options


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

    Raises StudyError where the folder is not a sound study, PlanError for a wrong recipe or setting,
    TrainingError where memory is short: what `train` would refuse here is not written.
    """
    wishes = Wishes(minutes, steps, folds, recipe, tuple(settings), device, group_by)
    study = open_study(Path(folder), group_by=wished_group_by(wishes), skip_bad=skip_bad)
    made, _, _ = planned(study, wishes, Options())
    if out is not None:
        write_plan(made, Path(out))
    return made
