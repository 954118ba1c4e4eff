"""From the time allowed to a number of steps, by timing a few."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from hilum.errors import TrainingError
from hilum.planning.plan import Plan
from hilum.training.loop import Trainer
from hilum.training.space import smaller_images
from hilum.training.watching import epoch_steps, look, steps_beside_looks

FEWEST_STEPS = 20
MARGIN = 0.93
CPU_MARGIN, FIRST_S = (
    0.97,
    0.6,
)  # a fold's first steps find memory: that takes so many CPU seconds of any budget
TIMED_SHARE, TIMED_LEAST_S, TIMED_MOST_S = 0.02, 3.0, 12.0
MOST_FOLLOWED = 200


class TimeTooShortError(TrainingError):
    """The time allowed holds too few steps for a training to be worth anything."""


@dataclass(frozen=True)
class Steps:
    """Steps a fold, with the reason; `second_a_step` is what was measured, 0 where nothing was."""

    count: int
    reason: str
    second_a_step: float = 0.0


def count_steps(plan: Plan, trainer: Callable[[], Trainer], remaining_s: float, folds: int) -> Steps:
    """Steps a fold that fit the plan's time; `remaining_s` is the wall time left for training all `folds`.

    Raises TimeTooShortError where not even 20 steps a fold fit.
    """
    if plan.training.steps is not None:
        return Steps(plan.training.steps, plan.reasons.get("training.steps", "asked for"))
    by_cpu = plan.training.cpu_s is not None
    clock = time.process_time if by_cpu else time.perf_counter
    began = time.perf_counter()
    made = trainer()
    epoch = epoch_steps(len(made.samples), plan.training)  # of the whole batch, however many draw it
    most = None if plan.training.epochs is None else math.ceil(plan.training.epochs * epoch)
    if most is not None and plan.training.minutes is None and not by_cpu:
        return Steps(most, f"{plan.training.epochs:g} epochs of {epoch} steps")
    allowed = plan.training.cpu_s if plan.training.cpu_s is not None else remaining_s / max(1, folds)
    one = time_steps(made, min(max(TIMED_LEAST_S, TIMED_SHARE * allowed), TIMED_MOST_S), clock)
    look_s = time_look(made, clock=clock)
    available = allowed if by_cpu else allowed - (time.perf_counter() - began) / max(1, folds)
    usable = available * CPU_MARGIN - FIRST_S if by_cpu else available * MARGIN
    count = steps_beside_looks(usable, one, look_s, len(made.samples), plan.training)
    kind = "CPU s" if by_cpu else "s"
    if count < FEWEST_STEPS:
        raise TimeTooShortError(
            f"only {max(0, count)} steps of {one:.2f} {kind} fit into the time; allow "
            f"{_more_cpu(one) if by_cpu else _more_minutes(one, folds)}, or cheaper steps ({_cheaper(plan)})"
        )
    if most is not None and most <= count:
        return Steps(most, f"{plan.training.epochs:g} epochs of {epoch} steps", one)
    return Steps(count, f"{available:.0f} {kind} a fold at {one:.3f} {kind} a step, measured", one)


def _more_minutes(step_s: float, folds: int) -> str:
    minutes = (FEWEST_STEPS * step_s * folds / MARGIN + 30) / 60
    return f"at least {minutes:.1f} more minutes (--minutes), fewer --folds"


def _more_cpu(step_s: float) -> str:
    seconds = math.ceil((FEWEST_STEPS * step_s + FIRST_S) / CPU_MARGIN)
    return f"at least {seconds} CPU s a fold (--set training.cpu_s={seconds})"


def _cheaper(plan: Plan) -> str:
    """What to type for steps of half the pixels: those of a step are of its patches, not of the images."""
    batch = f"--set training.batch={max(1, plan.training.batch // 2)}"
    of_size = plan.data.size == plan.training.patch
    return f"{batch}, or {smaller_images(plan) if of_size else 'a smaller training.patch'}"


def with_steps(plan: Plan, steps: Steps) -> Plan:
    """The plan with its step count filled in, so that a rerun is exact."""
    filled = plan.model_copy(deep=True)
    filled.training.steps = steps.count
    filled.reasons = {**copy.copy(plan.reasons), "training.steps": steps.reason}
    return filled


def with_less_time(plan: Plan, share: float) -> Plan:
    """The plan with a share of its CPU seconds set aside for what follows the network."""
    if not share or plan.training.cpu_s is None:
        return plan
    less = plan.model_copy(deep=True)
    less.training.cpu_s = plan.training.cpu_s * (1 - share)
    return less


def time_after(plan: Plan, steps: Steps, available_s: float, folds: int, share: float) -> float | None:
    """Seconds a fold for what follows the network; None where the steps were given and nothing was timed."""
    if not share or not steps.second_a_step:
        return None
    if plan.training.cpu_s is not None:
        return plan.training.cpu_s * share
    return max(0.0, available_s) * share / max(1, folds)


def time_steps(
    trainer: Trainer, seconds: float = TIMED_LEAST_S, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds a step takes on `clock`, from a few steps of a trainer that is then thrown away.

    Stages are timed one by one, each for its part of the `seconds`.
    """
    stages = trainer.plan.training.stages
    share = seconds / len(set(stages))
    took = {factor: _time_stage(trainer, stages.index(factor), share, clock) for factor in set(stages)}
    return sum(took[factor] for factor in stages) / len(stages)


def _time_stage(trainer: Trainer, stage: int, seconds: float, clock: Callable[[], float]) -> float:
    """Seconds a step of one stage takes; the first three, in which memory is found, do not count."""
    first, steps = stage * 1000, len(trainer.plan.training.stages) * 1000
    for step in range(3):
        trainer.step(first + step, steps)
    started, begun, count = clock(), time.perf_counter(), 0
    while count < 8 or (time.perf_counter() - begun < seconds and count < 200):
        trainer.step(first + 3 + count, steps)
        count += 1
    return (clock() - started) / count


def time_look(trainer: Trainer, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that one look at the held-back samples takes on `clock`; 0 where there are none."""
    if not trainer.held_back:
        return 0.0
    look(trainer.average.network, trainer.held_back[:64], trainer.plan, None)
    started = clock()
    look(trainer.average.network, trainer.held_back, trainer.plan, None)
    return clock() - started
