"""A training begun: planned, split, decoded, a few steps timed, the first files written."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hilum import tasks
from hilum.planning.plan import Plan, resolution_in_words
from hilum.planning.planner import Wishes
from hilum.study.splits import Splits, cases_in
from hilum.study.study import Study
from hilum.training.budget import MOST_FOLLOWED, count_steps, time_after, with_less_time, with_steps
from hilum.training.cache import Samples, digest_of
from hilum.training.contradictions import reconciled
from hilum.training.gather import gather_samples, keep_samples, keeping_s
from hilum.training.inputs import input_hashes
from hilum.training.loop import Trainer
from hilum.training.parallel import part_of_batch, processes
from hilum.training.run import Run, start_run
from hilum.training.space import check_space, needed_bytes, working_values
from hilum.training.watching import watched_for
from hilum.verbs.fold_training import initial_weights, make_trainer, seen_before
from hilum.verbs.planned import planned
from hilum.verbs.resuming import Options, chosen_folds

logger = logging.getLogger(__name__)
SCORING_S_A_MEGAPIXEL = 0.5
SCORING_S_A_CASE = 0.01
CLOSING_S = 4.0


def begin(study: Study, out: Path, wishes: Wishes, options: Options, started: float) -> tuple[Run, Samples]:
    """Plan, split, decode and time a few steps; then the run's first files are written.

    `started` is the time (`time.perf_counter`, s) from which the minutes wished for count. Raises
    StudyError, PlanError or TrainingError before anything is written.
    """
    plan, splits, weights = planned(study, wishes, options)
    for line in _told(study, splits, plan):
        logger.info(line)
    for line in _missed(splits, plan, chosen_folds(splits, options)):
        logger.warning(line)
    needed, reading = cases_in(study, splits), time.perf_counter()
    gathered = gather_samples(needed, plan)
    decoding_s = time.perf_counter() - reading
    samples = reconciled(gathered, study, plan)
    followed = tasks.get_task(plan.task).share_after(plan) > 0
    predicted = [_predicted(splits, index, followed) for index in chosen_folds(splits, options)]
    _check_room(out, plan, weights, predicted, samples)
    reserve = _scoring_s(plan, predicted, samples) + keeping_s(gathered)
    remaining = (plan.training.minutes or 0) * 60 - (time.perf_counter() - started)
    plan = _timed(plan, study, samples, splits, options, remaining - reserve)
    run = start_run(out, plan, study, splits, _notes(study, options, splits))
    keep_samples(gathered, digest_of(needed, plan), run.cache, decoding_s)
    return run, samples


def _timed(
    plan: Plan, study: Study, samples: Samples, splits: Splits, options: Options, available: float
) -> Plan:
    """The plan with the steps that fit into so many seconds, of which a task may want some afterwards."""
    todo = chosen_folds(splits, options)
    initial = initial_weights(options, study, splits, todo[0])
    task = tasks.get_task(plan.task)
    after = task.share_after(plan)

    def trainer() -> Trainer:
        timed = plan.model_copy(deep=True)
        timed.training.batch = part_of_batch(timed, processes())
        return make_trainer(timed, samples, splits, todo[0], initial)

    turns = math.ceil(len(todo) / options.at_once)
    steps = count_steps(with_less_time(plan, after), trainer, available * (1 - after), turns)
    logger.info("%d steps a fold: %s", steps.count, steps.reason)
    return task.plan_after(with_steps(plan, steps), time_after(plan, steps, available, turns, after))


def _notes(study: Study, options: Options, splits: Splits) -> dict[str, Any]:
    """What a run's manifest says of its beginning."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "inputs": input_hashes(study),
        "init": str(options.init.resolve()) if options.init else None,
        **({"init_seen": seen_before(options, study, splits)} if options.init else {}),
    }


def _predicted(splits: Splits, fold: int, followed: bool) -> tuple[str, ...]:
    """Names of the cases that a fold's network predicts, those it learnt from too where something follows."""
    parts = splits.folds[fold]
    return (*parts.test, *parts.val, *(parts.train[:MOST_FOLLOWED] if followed else ()))


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


def _scoring_s(plan: Plan, tested: Sequence[Sequence[str]], samples: Samples) -> float:
    """Seconds to set aside for predicting, scoring, drawing and the report."""
    names = [name for fold in tested for name in fold]
    working = sum(sample.stack[0].numel() for name in names for sample in samples[name])
    full = working * plan.data.downsample**2 * max(1, len(plan.data.outputs)) / 1e6
    return CLOSING_S + full * SCORING_S_A_MEGAPIXEL + len(names) * SCORING_S_A_CASE
