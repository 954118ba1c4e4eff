"""What goes along with the steps of a fold: the count, the clock, looks at held-back samples, the state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from hilum.errors import RunError
from hilum.training.skipping import Skipped
from hilum.training.state import TrainingState, save_state
from hilum.training.watching import LOSS, Measure, Watched, look, look_every, watched_score

if TYPE_CHECKING:
    from hilum.training.loop import Trainer

STATE_SHARE = 0.03
STATE_EVERY_S = 10.0


class Course:
    """How far a fold has come: steps, rows of the history, losses not yet in one, time spent."""

    def __init__(self, trainer: Trainer, state: TrainingState, watching: Watching) -> None:
        self.trainer, self.watching = trainer, watching
        self.step, self.history, self.losses = state.step, state.history, list(state.losses)
        rate = trainer.plan.training.learning_rate
        self.skipped = Skipped(trainer.fold, rate, state.skipped, state.in_a_row)
        self.clock = Clock(state.seconds, state.cpu_s)

    def count(self, loss: float) -> None:
        """Take in one step. Raises TrainingError where too many had no finite loss."""
        self.step += 1
        if math.isfinite(loss):
            self.losses.append(loss)
        self.skipped.count(loss, self.step)

    def log(self, row: Mapping[str, float]) -> None:
        """Close a row of the history."""
        self.history, self.losses = self.history.with_row(row), []

    def state(self) -> TrainingState:
        """All that resuming needs besides weights and optimiser."""
        return TrainingState(
            self.step,
            self.clock.wall_s(),
            self.clock.cpu_s(),
            self.history,
            tuple(self.losses),
            self.skipped.skipped,
            self.skipped.in_a_row,
            self.trainer.plan.training.batch if self.trainer.halved else None,
            self.watching.watched.to_json(),
            self.watching.best,
        )


class Watching:
    """Looks at the held-back samples now and then, and does to the trainer what follows from it."""

    def __init__(self, trainer: Trainer, state: TrainingState, steps: int, measure: Measure | None) -> None:
        self.trainer, self.measure, self.steps = trainer, measure, steps
        self.every = look_every(len(trainer.samples), steps, trainer.plan.training)
        self.watched, self.best = Watched(**state.watched), dict(state.best)
        trainer.rate_scale = self.watched.scale

    def look(self, step: int) -> dict[str, float]:
        """Scores of the held-back samples where a look is due, else nothing."""
        trainer = self.trainer
        if not trainer.held_back or (step % self.every and step != self.steps):
            return {}
        seen = look(trainer.average.network, trainer.held_back, trainer.plan, self.measure)
        if trainer.fabric.world_size > 1:  # all follow what the first has seen
            seen = trainer.fabric.broadcast(seen)
        self.watched = self.watched.next(watched_score(seen), seen[LOSS], step, trainer.plan.training)
        trainer.rate_scale = self.watched.scale
        if trainer.plan.training.keep == "best" and self.watched.best_step == step:
            network = trainer.average.network.state_dict()
            self.best = {name: value.detach().clone() for name, value in network.items()}
        return seen

    def chosen(self) -> nn.Module:
        """The averaged network: its last weights, or the best ones met."""
        network = self.trainer.average.network
        if self.best:
            network.load_state_dict(self.best)
        return network


class Clock:
    """Wall and CPU seconds of a training, what was spent before a resume included."""

    def __init__(self, wall_s: float, cpu_s: float) -> None:
        self._wall, self._cpu = time.perf_counter() - wall_s, time.process_time() - cpu_s

    def wall_s(self) -> float:
        """Seconds on the wall's clock."""
        return time.perf_counter() - self._wall

    def cpu_s(self) -> float:
        """Seconds that the processor worked."""
        return time.process_time() - self._cpu


class StateKeeper:
    """Saves the state now and then, spending a small share of the time on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = time.perf_counter()
        self.cost = 0.1

    def keep(self, trainer: Trainer, current: Callable[[], TrainingState]) -> None:
        """Save the state where it is due."""
        now = time.perf_counter()
        if now - self.last < max(STATE_EVERY_S, self.cost / STATE_SHARE):
            return
        self.save(trainer, current())
        self.last = time.perf_counter()
        self.cost = self.last - now

    def save(self, trainer: Trainer, state: TrainingState) -> None:
        """Save the state. Raises RunError where the folder is gone."""
        if not trainer.fabric.is_global_zero:
            return
        if not self.path.parent.is_dir():
            raise RunError(
                f"{self.path.parent}: is gone; nothing is saved. If its disk comes back, add --resume"
            )
        save_state(self.path, trainer.network, trainer.average.network, trainer.optimiser, state)
