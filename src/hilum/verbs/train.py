"""`hilum train`: a folder becomes a validated run with scores, masks, measurements and a report."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from hilum import tasks
from hilum.errors import RunError, StudyError
from hilum.exchange.card import resolution_in_words
from hilum.inference.keeping import keep
from hilum.inference.predictor import make_predictor
from hilum.planning.device import check_device, find_device
from hilum.planning.plan import Plan
from hilum.planning.planner import Wishes, line_folds, make_plan, wished_group_by
from hilum.study.open import open_study
from hilum.study.splits import Splits, read_splits
from hilum.study.study import Study
from hilum.tasks.task import Task
from hilum.training.budget import MOST_FOLLOWED, count_steps, time_after, with_less_time, with_steps
from hilum.training.cache import fingerprint
from hilum.training.contradictions import reconciled
from hilum.training.copies import with_copies
from hilum.training.fitting import fitted_to_memory
from hilum.training.gather import gather_kept, gather_samples, keep_samples, keeping_s
from hilum.training.inputs import check_same_inputs, input_hashes
from hilum.training.lock import held
from hilum.training.loop import Trainer, Watch, make_fabric, train_fold
from hilum.training.losses import find_loss
from hilum.training.parallel import is_first, memory_each, part_of_batch, processes
from hilum.training.run import (
    Run,
    check_new,
    check_there,
    forget_beginning,
    initialise,
    load_network,
    make_network,
    open_run,
    save_fold,
    start_run,
    start_weights,
    write_manifest,
)
from hilum.training.samples import Sample
from hilum.training.slices import all_slices
from hilum.training.space import check_space, needed_bytes, working_values
from hilum.training.tiling import cut_samples, learnt_by_slice
from hilum.training.tracking import tracked
from hilum.training.watching import needs_watching, watched_for
from hilum.verbs.folding import hold_some_back, plan_folds
from hilum.verbs.report import report
from hilum.verbs.resuming import Options, begun_from, check_heard, chosen_folds

logger = logging.getLogger(__name__)
SCORING_S_A_MEGAPIXEL = 0.5
SCORING_S_A_CASE = 0.01
CLOSING_S = 4.0

Samples = Mapping[str, Sequence[Sample]]
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
    options = Options(Path(splits) if splits else None, fold, Path(init) if init else None, skip_bad)
    wishes = Wishes(minutes, steps, folds, recipe, tuple(settings), device, group_by)
    options = replace(options, at_once=at_once)
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
            run, samples = _begin(study, out, wishes, options, started)
        if together:
            together.barrier()
        if elsewhere:
            elsewhere(run, study, chosen_folds(run.splits, options))
        _train_folds(run, study, samples, options, watch)
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
    _train_folds(run, study, samples, options, None)
    return run


def _gathered(run: Run, folder: Path, skip_bad: bool) -> tuple[Study, Samples]:
    """The study of a run that was begun, and its samples."""
    check_device(run.plan.training.device)
    study = open_study(folder, group_by=run.plan.data.group_by, skip_bad=skip_bad)
    check_same_inputs(run, study)
    gathered = gather_kept(_needed(study, run.splits), run.plan, run.cache)
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
    _train_folds(run, study, samples, Options(fold=fold, init=Path(init) if init else None), None)


def _begin(study: Study, out: Path, wishes: Wishes, options: Options, started: float) -> tuple[Run, Samples]:
    """Plan, split, decode and time a few steps; then the run's first files are written."""
    splits = _splits(study, wishes, options)
    planned = make_plan(study, wishes, len(splits.folds), splits.reason)
    check_device(planned.plan.training.device)
    weights = _check_buildable(planned.plan)
    planned = replace(
        planned, plan=fitted_to_memory(planned.plan, memory_each(find_device(wishes.device)), processes())
    )
    share = planned.plan.training.validation
    if share:
        splits = hold_some_back(splits, study, share)
    for line in _told(study, splits, planned.plan):
        logger.info(line)
    for line in _missed(splits, planned.plan, chosen_folds(splits, options)):
        logger.warning(line)
    needed, reading = _needed(study, splits), time.perf_counter()
    gathered = gather_samples(needed, planned.plan)
    decoding_s = time.perf_counter() - reading
    samples = reconciled(gathered, study, planned.plan)
    todo = chosen_folds(splits, options)
    initial = _initial(options, splits, todo[0])
    remaining = (planned.plan.training.minutes or 0) * 60 - (time.perf_counter() - started)
    task = tasks.get_task(planned.plan.task)
    after = task.share_after(planned.plan)
    predicted = [_predicted(planned.plan, splits, index, after > 0) for index in todo]
    _check_room(out, planned.plan, weights, predicted, samples)
    reserve = _scoring_s(planned.plan, study, predicted, samples)
    reserve += keeping_s(gathered)

    def trainer() -> Trainer:
        timed = planned.plan.model_copy(deep=True)
        timed.training.batch = part_of_batch(timed, processes())
        return _trainer(timed, samples, splits, todo[0], initial)

    available = remaining - reserve
    turns = math.ceil(len(todo) / options.at_once)
    steps = count_steps(with_less_time(planned.plan, after), trainer, available * (1 - after), turns)
    plan = with_steps(planned.plan, steps)
    plan = task.plan_after(plan, time_after(plan, steps, available, turns, after))
    logger.info("%d steps a fold: %s", steps.count, steps.reason)
    notes = {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "inputs": input_hashes(study),
        "init": str(options.init.resolve()) if options.init else None,
    }
    run = start_run(out, plan, study, splits, notes)
    keep_samples(gathered, fingerprint(needed, plan), run.cache, decoding_s)
    return run, samples


def _splits(study: Study, wishes: Wishes, options: Options) -> Splits:
    splits = read_splits(options.splits, study) if options.splits else plan_folds(study, wishes)
    asked = line_folds(wishes)
    if options.splits and asked not in (None, len(splits.folds)):
        said = f"--folds {asked}" if wishes.folds else f"--set data.folds={asked}"
        raise StudyError(f"{said}: {options.splits} fixes {len(splits.folds)} folds; leave one of both out")
    chosen_folds(splits, options)
    return splits


def _check_buildable(plan: Plan) -> int:
    """The size of the network, in weights, before any image is decoded or anything written.

    Raises PlanError for a network or loss that is none.
    """
    find_loss(plan.training.loss)
    with torch.device("meta"):
        return sum(value.numel() for value in make_network(plan).state_dict().values())


def _check_room(
    out: Path, plan: Plan, weights: int, predicted: Sequence[Sequence[str]], samples: Samples
) -> None:
    """Raise TrainingError where the disk has no room for the run."""
    shapes = [sample.shape for fold in predicted for name in fold for sample in samples[name]]
    values = working_values(shapes, len(plan.data.outputs))
    pixels = working_values(shapes, 1) * plan.data.downsample**2
    check_space(out, needed_bytes(weights, len(predicted), values, pixels))


def _told(study: Study, splits: Splits, plan: Plan) -> list[str]:
    data, training = plan.data, plan.training
    patch, seen = " x ".join(map(str, training.patch)), resolution_in_words(plan)
    return [
        f"{len(study.cases)} cases, {study.layout}; {study.grouping}",
        f"{len(splits.folds)} folds: {splits.reason}",
        f"{plan.task} {', '.join(data.outputs)}: {plan.model.name}, images {seen}",
        f"batches of {training.batch} x {patch}, {training.precision} on {training.device}",
    ]


def _missed(splits: Splits, plan: Plan, todo: Sequence[int]) -> list[str]:
    """What a training of these folds cannot do, for want of images that it does not learn from."""
    folds = [splits.folds[index] for index in todo]
    missed = []
    if not any(fold.test for fold in folds):
        missed.append(f"this run will have no scores: {splits.reason}; add annotated images to have some")
    watched = watched_for(plan.training)
    if watched and not any(fold.val for fold in folds):
        missed.append(
            f"{', '.join(watched)} does nothing: no images are held back, and all steps are taken; "
            "say --set training.validation=0.1 to hold some back"
        )
    return missed


def _needed(study: Study, splits: Splits) -> list[Any]:
    names = {name for fold in splits.folds for name in (*fold.train, *fold.test, *fold.val)}
    return [case for case in study.cases if case.name in names]


def _initial(options: Options, splits: Splits, fold: int) -> dict[str, torch.Tensor] | None:
    """Weights that a fold starts from, of a network that has not seen what this fold is scored on."""
    return start_weights(open_run(options.init), splits.folds[fold].test) if options.init else None


def _trainer(
    plan: Plan,
    samples: Samples,
    splits: Splits,
    fold: int,
    initial: Mapping[str, torch.Tensor] | None,
    parallel: bool = False,
) -> Trainer:
    drawn = [s for name in splits.folds[fold].train for s in samples[name] if s.weight > 0]
    training = with_copies(cut_samples(drawn, plan), plan.training, fold)
    if not training:
        raise StudyError(f"fold {fold}: no case is left to train on")
    network = make_network(plan)
    if initial is not None:
        initialise(network, initial)
    weights = tasks.get_task(plan.task).class_weights(training, plan)
    fabric = make_fabric(plan, parallel)
    held_back = [sample for name in _watched(plan, splits, fold) for sample in samples[name]]
    if learnt_by_slice(plan):
        held_back = all_slices(held_back, plan.training.min_share)
    classes = torch.tensor(weights).to(fabric.device)
    return Trainer(network, plan, training, fold, fabric, classes, held_back)


def _predicted(plan: Plan, splits: Splits, fold: int, followed: bool) -> tuple[str, ...]:
    """Names of the cases that a fold's network predicts, those it learnt from too where something follows."""
    parts = splits.folds[fold]
    return (*parts.test, *parts.val, *(parts.train[:MOST_FOLLOWED] if followed else ()))


def _watched(plan: Plan, splits: Splits, fold: int) -> tuple[str, ...]:
    """Names of the cases that are looked at while training."""
    return splits.folds[fold].val if needs_watching(plan.training) else ()


def _train_folds(run: Run, study: Study, samples: Samples, options: Options, watch: Watch | None) -> None:
    task = tasks.get_task(run.plan.task)
    steps = run.plan.training.steps
    options = replace(options, init=begun_from(run, options))
    if steps is None:
        raise RunError(f"{run.folder}: plan.yaml holds no training.steps; train again into a new folder")
    for index in chosen_folds(run.splits, options):
        state = run.fold(index) / "state" / "state.safetensors"
        if not run.finished(index):
            if is_first():
                _forget(run, index)
            initial = _initial(options, run.splits, index)
            trainer = _trainer(run.plan, samples, run.splits, index, initial, parallel=True)
            network, history = train_fold(
                trainer,
                steps,
                state,
                watch,
                lambda probability, batch: task.measure(probability, batch, run.plan),
            )
            check_there(run)
            if is_first():
                save_fold(run, index, network, history)
            trainer.fabric.barrier()
        if is_first():
            state.unlink(missing_ok=True)
            task.train_after(run, study, samples, index)
            _predict_fold(run, samples, index)


def _predict_fold(run: Run, samples: Samples, index: int) -> None:
    """Keep the probabilities of one fold's test cases and of those that were held back."""
    missing = [(folder, name) for folder, name in _kept(run, index) if not (folder / f"{name}.npz").is_file()]
    if not missing:
        return
    predictor = make_predictor([load_network(run, index)], run.plan)
    for folder, name in missing:
        (sample,) = samples[name]
        keep(folder, name, predictor.prepared(sample.stack[: sample.channels]))


def _kept(run: Run, index: int) -> list[tuple[Path, str]]:
    """Folder and name of every case whose answer is kept with a fold."""
    fold = run.splits.folds[index]
    held_back = run.evaluation / "validation" / f"fold-{index}"
    return [
        *((run.evaluation / "probabilities", name) for name in fold.test),
        *((held_back, name) for name in fold.val),
    ]


def _forget(run: Run, index: int) -> None:
    """Remove what an earlier network of a fold has left, but for the state: the fold is trained anew."""
    answers = [folder / f"{name}.npz" for folder, name in _kept(run, index)]
    for path in (*answers, *(path for path in run.fold(index).glob("*") if path.is_file())):
        path.unlink(missing_ok=True)


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


def _scoring_s(plan: Plan, study: Study, tested: Sequence[Sequence[str]], samples: Samples) -> float:
    """Seconds to set aside for predicting, scoring, drawing and the report."""
    names = [name for fold in tested for name in fold]
    working = sum(sample.stack[0].numel() for name in names for sample in samples[name])
    full = working * plan.data.downsample**2 * max(1, len(plan.data.outputs)) / 1e6
    return CLOSING_S + full * SCORING_S_A_MEGAPIXEL + len(names) * SCORING_S_A_CASE
