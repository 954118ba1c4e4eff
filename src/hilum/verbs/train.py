"""`hilum train`: a folder becomes a validated run with scores, masks, measurements and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from lightning_fabric import Fabric

from hilum import tasks
from hilum.planning.device import check_device, find_device
from hilum.planning.plan import Plan
from hilum.planning.planner import Wishes, wished_group_by
from hilum.study.open import open_study
from hilum.study.splits import cases_in
from hilum.study.study import Study
from hilum.tasks.task import Task
from hilum.training.cache import Samples
from hilum.training.contradictions import reconciled
from hilum.training.gather import gather_kept
from hilum.training.inputs import check_same_inputs
from hilum.training.lock import held
from hilum.training.loop import Watch, make_fabric
from hilum.training.parallel import is_first, processes
from hilum.training.run import Run, check_new, check_there, forget_beginning, open_run, write_manifest
from hilum.training.tracking import tracked
from hilum.verbs.beginning import begin
from hilum.verbs.fold_training import train_folds
from hilum.verbs.report import report
from hilum.verbs.resuming import Options, check_heard, chosen_folds

Elsewhere = Callable[[Run, Study, Sequence[int]], None]


def train(
    folder: str | Path,
    out: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    folds: int | None = None,
    fold: int | None = None,
    splits: str | Path | None = None,
    recipe: str | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    resume: bool = False,
    init: str | Path | None = None,
    group_by: str | None = None,
    skip_bad: bool = False,
    watch: Watch | None = None,
    track: str | None = None,
    elsewhere: Elsewhere | None = None,
    at_once: int = 1,
) -> Run:
    """Train and validate on a folder of annotated images; the finished Run.

    `minutes` is the wall time of everything, scoring included. `track` tells the history to "tensorboard"
    or "mlflow". `elsewhere` trains folds on other machines, `at_once` of them side by side. Started by
    torchrun, all processes train together and the first of them does everything else. Raises StudyError,
    PlanError, RunError or TrainingError, each with what to do next, before any work wherever that is
    possible.
    """
    started = time.perf_counter()
    out = Path(out)
    options = Options(Path(splits) if splits else None, fold, Path(init) if init else None, skip_bad, at_once)
    wishes = Wishes(minutes, steps, folds, recipe, tuple(settings), device, group_by)
    if not is_first():
        return _help(Path(folder), out, options, make_fabric(_any_plan(wishes), parallel=True))
    watch = tracked(watch, track, out)
    together = make_fabric(_any_plan(wishes), parallel=True) if processes() > 1 else None
    with held(out):
        if resume:
            forget_beginning(out)
        if resume and (out / "manifest.json").is_file():
            run = open_run(out, trained=False)
            check_heard(run, wishes, options)
            study, samples = _gathered(run, Path(folder), skip_bad)
        else:
            check_new(out)
            study = open_study(Path(folder), group_by=wished_group_by(wishes), skip_bad=skip_bad)
            run, samples = begin(study, out, wishes, options, started)
        if together:
            together.barrier()
        if elsewhere:
            elsewhere(run, study, chosen_folds(run.splits, options))
        train_folds(run, study, samples, options, watch)
        _finish(run, study, started)
    return run


def _any_plan(wishes: Wishes) -> Plan:
    """A plan that says no more than the device: enough to meet the other processes."""
    plan = Plan()
    plan.training.device = "cuda" if find_device(wishes.device).kind == "cuda" else "cpu"
    plan.training.batch = 4096
    return plan


def _help(folder: Path, out: Path, options: Options, together: Fabric) -> Run:
    """What every process but the first does: wait until the run is begun, then train with it."""
    together.barrier()
    run = open_run(out, trained=False)
    study, samples = _gathered(run, folder, options.skip_bad)
    train_folds(run, study, samples, options, None)
    return run


def _gathered(run: Run, folder: Path, skip_bad: bool) -> tuple[Study, Samples]:
    """The study of a run that was begun, and its samples."""
    check_device(run.plan.training.device)
    study = open_study(folder, group_by=run.plan.data.group_by, skip_bad=skip_bad)
    check_same_inputs(run, study)
    gathered = gather_kept(cases_in(study, run.splits), run.plan, run.cache)
    return study, reconciled(gathered, study, run.plan)


def train_one_fold(
    out: str | Path,
    folder: str | Path,
    fold: int,
    threads: int | None = None,
    init: str | Path | None = None,
) -> None:
    """Train one fold of a run that was begun, from its last state; nothing where it is finished.

    Raises RunError, StudyError or TrainingError as `train` does.
    """
    run = open_run(Path(out), trained=False)
    if threads is not None:
        run.plan.training.threads = threads
    study, samples = _gathered(run, Path(folder), skip_bad=True)
    train_folds(run, study, samples, Options(fold=fold, init=Path(init) if init else None), None)


def _finish(run: Run, study: Study, started: float) -> None:
    check_there(run)
    task: Task = tasks.get_task(run.plan.task)
    task.evaluate(run, study)
    notes = {
        key: value
        for key, value in run.manifest.items()
        if key not in ("versions", "machine", "written", "command")
    }
    spent = round(time.perf_counter() - started, 1)
    finished = datetime.now().astimezone().isoformat(timespec="seconds")
    write_manifest(run.folder, {**notes, "finished": finished, "wall_s": spent})
    report(run.folder)
