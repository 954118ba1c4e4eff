"""Folds trained one after the other, and what each of their networks predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hilum import tasks
from hilum.errors import RunError, StudyError
from hilum.inference.keeping import keep
from hilum.inference.predictor import make_predictor
from hilum.planning.plan import Plan
from hilum.study.splits import Splits
from hilum.study.study import Study
from hilum.training.cache import Samples
from hilum.training.copies import with_copies
from hilum.training.inputs import known_as
from hilum.training.loop import Trainer, Watch, make_fabric, train_fold
from hilum.training.parallel import is_first
from hilum.training.run import (
    Run,
    check_there,
    fresh_folds,
    initialise,
    load_network,
    make_network,
    open_run,
    save_fold,
    start_weights,
)
from hilum.training.slices import all_slices
from hilum.training.tiling import cut_samples, learnt_by_slice
from hilum.training.watching import needs_watching
from hilum.verbs.resuming import Options, begun_from, chosen_folds


def train_folds(run: Run, study: Study, samples: Samples, options: Options, watch: Watch | None) -> None:
    """Train the folds asked for that are not finished, and predict what each of them has not seen.

    Raises RunError for a run without steps, TrainingError where a fold cannot be trained.
    """
    if run.plan.training.steps is None:
        raise RunError(f"{run.folder}: plan.yaml holds no training.steps; train again into a new folder")
    options = replace(options, init=begun_from(run, options))
    for index in chosen_folds(run.splits, options):
        state = run.fold(index) / "state" / "state.safetensors"
        if not run.finished(index):
            _train_fold(run, study, samples, options, index, run.plan.training.steps, state, watch)
        if is_first():
            state.unlink(missing_ok=True)
            tasks.get_task(run.plan.task).train_after(run, study, samples, index)
            _predict_fold(run, samples, index)


def _train_fold(
    run: Run,
    study: Study,
    samples: Samples,
    options: Options,
    index: int,
    steps: int,
    state: Path,
    watch: Watch | None,
) -> None:
    if is_first():
        _forget(run, index)
    initial = initial_weights(options, study, run.splits, index)
    trainer = make_trainer(run.plan, samples, run.splits, index, initial, parallel=True)
    measure = tasks.get_task(run.plan.task).measure
    network, history = train_fold(
        trainer, steps, state, watch, lambda probability, batch: measure(probability, batch, run.plan)
    )
    check_there(run)
    if is_first():
        save_fold(run, index, network, history)
    trainer.fabric.barrier()


def make_trainer(
    plan: Plan,
    samples: Samples,
    splits: Splits,
    fold: int,
    initial: Mapping[str, torch.Tensor] | None,
    parallel: bool = False,
) -> Trainer:
    """What trains one fold: its network, what it learns from and what is watched.

    Raises StudyError where no case is left to train on.
    """
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


def initial_weights(
    options: Options, study: Study, splits: Splits, fold: int
) -> dict[str, torch.Tensor] | None:
    """Weights that a fold starts from, of a network that has not seen what this fold is scored on."""
    if not options.init:
        return None
    init = open_run(options.init)
    return start_weights(init, _names_there(init, study, splits.folds[fold].test))


def seen_before(options: Options, study: Study, splits: Splits) -> list[str]:
    """Cases of the folds to train that are scored though every network of `--init` has learnt from some."""
    if not options.init:
        return []
    init = open_run(options.init)
    seen: list[str] = []
    for index in chosen_folds(splits, options):
        tested = splits.folds[index].test
        seen += [] if fresh_folds(init, _names_there(init, study, tested)) else tested
    return seen


def _names_there(init: Run, study: Study, names: Sequence[str]) -> set[str]:
    """Cases by their own names, and by those that another run has for the same images."""
    known = known_as(init, [study.by_name[name] for name in names])
    return {*names, *(other for others in known.values() for other in others)}


def _watched(plan: Plan, splits: Splits, fold: int) -> tuple[str, ...]:
    """Names of the cases that are looked at while training."""
    return splits.folds[fold].val if needs_watching(plan.training) else ()


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
