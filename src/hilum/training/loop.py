"""The one training loop: batches in, averaged weights out, resumable at any step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from hilum.errors import TrainingError
from hilum.planning.plan import Plan
from hilum.training.batches import Batch, draw_batch
from hilum.training.companions import Course, StateKeeper, Watching
from hilum.training.losses import Wanted, activate, find_loss
from hilum.training.memory import out_of_memory
from hilum.training.optimisation import (
    WeightAverage,
    Weights,
    channels_last,
    clip_gradients,
    count_batches,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)
from hilum.training.parallel import all_agree, parallel_fabric, part_of_batch, processes
from hilum.training.samples import Sample
from hilum.training.stages import coarser_plan, coarser_sample, factor_at
from hilum.training.state import History, TrainingState, load_state
from hilum.training.stopping import stops_held_back
from hilum.training.watching import Measure

logger = logging.getLogger(__name__)
LOGGED_ROWS = 200


@dataclass(frozen=True)
class Progress:
    """Where a training stands: shown by progress bars, kept by nobody."""

    fold: int
    step: int
    steps: int
    values: Mapping[str, float] = field(default_factory=dict)


Watch = Callable[[Progress], None]


def make_fabric(plan: Plan, parallel: bool = False) -> Fabric:
    """Device and precision of a plan; `parallel` with all processes that were started together."""
    torch.set_num_threads(plan.training.threads)
    # On processors weight gradients of small bfloat16 3D convolutions hold unset memory, numbers of 1e30
    # (seen with PyTorch 2.13 at 16 channels on 2 x 4 x 4 voxels). The forward pass is right.
    blocks = plan.training.device == "cpu" and plan.data.dims == 3
    precision = "32-true" if blocks else plan.training.precision
    if parallel and processes() > 1:
        return parallel_fabric(plan, precision)
    return Fabric(accelerator=plan.training.device, devices=1, precision=precision)


@dataclass
class Trainer:
    """A network with what moves it: made once a fold, stepped by `step`."""

    network: nn.Module
    plan: Plan
    samples: Sequence[Sample]
    fold: int
    fabric: Fabric
    classes: Tensor
    held_back: Sequence[Sample] = ()
    rate_scale: float = 1.0
    halved: bool = False

    def __post_init__(self) -> None:
        self.network = channels_last(self.network.to(self.fabric.device)).train()
        self.average = WeightAverage(self.network, self.plan.training.ema)
        self.weights = Weights(self.network)
        self.optimiser = make_optimiser(self.weights.views, self.plan.training)
        self.loss = find_loss(self.plan.training.loss)
        self._wrapped, self._stepper = self.fabric.setup(self.network, self.optimiser)
        self._statistics = list(self.network.buffers())
        self._before = [buffer.clone() for buffer in self._statistics]
        self._stage: tuple[int, Sequence[Sample]] = (1, self.samples)

    def step(self, step: int, steps: int) -> tuple[float, Tensor, Batch]:
        """One step: the loss, the logits (B, K[, *S]) and the batch. A NaN loss or gradient moves nothing.

        Where memory runs out the batch is halved, once. Raises TrainingError where that is not enough.
        """
        try:
            return self._step(step, steps)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            self._check_divisible(error)
        self.use_batch(self.plan.training.batch // 2)
        logger.warning("memory ran out: batches of %d from here on", self.plan.training.batch)
        return self.step(step, steps)

    def use_batch(self, batch: int) -> None:
        """Go on with smaller batches than planned."""
        self.plan = self.plan.model_copy(deep=True)
        self.plan.training.batch, self.halved = batch, True
        self.weights.clear_gradients()
        if self.fabric.device.type == "cuda":
            torch.cuda.empty_cache()

    def _check_divisible(self, error: Exception) -> None:
        batch, fewest = self.plan.training.batch, max(1, self.plan.model.members)
        if self.halved or batch // 2 < fewest or self.fabric.world_size > 1:
            patch = " x ".join(map(str, self.plan.training.patch))
            raise TrainingError(
                f"fold {self.fold}: batches of {batch} x {patch} need more memory than is free; set "
                f"smaller ones (--set training.batch={max(fewest, batch // 2)}) or a smaller "
                "training.patch, and train again"
            ) from error

    def _step(self, step: int, steps: int) -> tuple[float, Tensor, Batch]:
        settings = self.plan.training
        set_learning_rate(self.optimiser, learning_rate(settings, step, steps) * self.rate_scale)
        count = self.fabric.world_size
        own = step * count + self.fabric.global_rank
        if count > 1:
            settings = settings.model_copy(update={"batch": part_of_batch(self.plan, count)})
        factor = factor_at(settings, step, steps)
        drawn = draw_batch(self._shrunk(factor), coarser_plan(settings, factor), self.fold, own)
        batch = drawn.to(self.fabric.device)
        _seed(self.fabric.device, hash((settings.seed, self.fold, own)) % 2**31)
        _copy(self._statistics, self._before)
        logits = self._wrapped(batch.x).float()
        wanted = Wanted(batch.y, batch.known, batch.weight, self.classes, self.plan.model.activation)
        loss = self.loss(logits, wanted)
        self.weights.clear_gradients()
        if not all_agree(self.fabric, math.isfinite(loss.item()) and _finite(self._statistics)):
            return self._skipped(logits, batch)
        self.fabric.backward(loss)
        self.weights.take_gradients()
        if not math.isfinite(self._clip(settings.clip or math.inf)):
            if settings.precision == "16-mixed":
                self._stepper.step()  # the scaler passes over it and scales less from here on
            return self._skipped(logits, batch)
        self._stepper.step()
        self.average.update(self.network, step)
        return loss.item(), logits.detach(), batch

    def _clip(self, largest: float) -> float:
        """Bound the gradients' norm; the norm that they had."""
        if self.plan.training.precision != "16-mixed":
            return float(clip_gradients(self.optimiser, self.weights.views, largest))
        norm = self.fabric.clip_gradients(
            self._wrapped, self._stepper, max_norm=largest, error_if_nonfinite=False
        )
        return float(0.0 if norm is None else norm)

    def settle(self, network: nn.Module, steps: int) -> None:
        """Measure an averaged network's means and variances anew, on batches as those of the last step.

        Averaged weights have other activations than the networks they are the average of, whose statistics
        were averaged with them (Izmailov et al. 2018, section 3.2).
        """
        settings, device = self.plan.training, self.fabric.device
        factor = factor_at(settings, steps - 1, steps)
        samples, plan = self._shrunk(factor), coarser_plan(settings, factor)
        places = range(steps, steps + count_batches(settings, steps))
        drawn = (draw_batch(samples, plan, self.fold, place).x.to(device) for place in places)
        _seed(device, hash((settings.seed, self.fold, steps)) % 2**31)
        half = settings.precision == "16-mixed"  # one value beyond its range would undo the whole training
        with nullcontext() if half else self.fabric.autocast():
            update_bn(drawn, network)

    def _shrunk(self, factor: int) -> Sequence[Sample]:
        """The samples of a coarse stage; only one stage's are held at a time."""
        if self._stage[0] != factor:
            dims = len(self.plan.training.patch)
            self._stage = (factor, [coarser_sample(sample, factor, dims) for sample in self.samples])
        return self._stage[1]

    def _skipped(self, logits: Tensor, batch: Batch) -> tuple[float, Tensor, Batch]:
        """A step that moves nothing, the running statistics of the normalisation included."""
        _copy(self._before, self._statistics)
        return math.nan, logits.detach(), batch


def _seed(device: torch.device, seed: int) -> None:
    """Seed what the network draws from; `torch.manual_seed` visits every kind of device, which takes time."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _finite(statistics: Sequence[Tensor]) -> bool:
    """Whether running means and variances are numbers: activations may overflow where the loss does not."""
    floating = [value for value in statistics if value.is_floating_point()]
    return not floating or bool(torch.stack(torch._foreach_norm(floating)).isfinite().all())


def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    if source:
        torch._foreach_copy_(list(target), list(source))


def train_fold(
    trainer: Trainer,
    steps: int,
    state_path: Path,
    watch: Watch | None = None,
    measure: Measure | None = None,
) -> tuple[nn.Module, History]:
    """Train one fold for `steps` steps, from its saved state where there is one; the averaged network.

    Raises TrainingError where the loss stays NaN or the weights end so, RunError where the folder is gone.
    Ctrl-C and SIGTERM wait for the end of the step, then the state is saved.
    """
    state_path.parent.mkdir(parents=True, exist_ok=True)
    state = load_state(state_path, trainer.network, trainer.average.network, trainer.optimiser)
    watching = Watching(trainer, state, steps, measure)  # its looks are counted by the planned batch
    if state.batch is not None:
        trainer.use_batch(state.batch)
    keeper, course = StateKeeper(state_path), Course(trainer, state, watching)
    every = max(1, steps // LOGGED_ROWS)
    with stops_held_back() as check_stop:
        while course.step < steps and not watching.watched.stopped:
            loss, logits, batch = trainer.step(course.step, steps)
            course.count(loss)
            seen = watching.look(course.step)
            row: dict[str, float] = {}
            if course.step % every == 0 or course.step == steps or seen:
                row = _row(trainer, steps, course.state(), logits, batch, measure)
                course.log({**row, **seen})
            try:
                if row and watch:
                    watch(Progress(trainer.fold, course.step, steps, row))
                check_stop()
            except KeyboardInterrupt:
                keeper.save(trainer, course.state())
                raise
            keeper.keep(trainer, course.state)
    course.skipped.tell()
    return _finished(trainer, watching.chosen(), steps), course.history


def _finished(trainer: Trainer, network: nn.Module, steps: int) -> nn.Module:
    """The trained network with statistics of its own. Raises TrainingError where it holds NaN."""
    if trainer.plan.training.norm_batches:
        trainer.settle(network, steps)
    _check_finite(network, trainer)
    return network


def _check_finite(network: nn.Module, trainer: Trainer) -> None:
    """Raise TrainingError where a network's weights or running statistics have left all bounds."""
    for name, values in network.state_dict().items():
        if not bool(torch.isfinite(values).all()):
            rate = trainer.plan.training.learning_rate
            raise TrainingError(
                f"fold {trainer.fold}: the trained network holds NaN or infinite numbers ({name}); lower the "
                f"learning rate (--set training.learning_rate={rate / 10:g}) and train again"
            )


def _row(
    trainer: Trainer,
    steps: int,
    now: TrainingState,
    logits: Tensor,
    batch: Batch,
    measure: Measure | None,
) -> dict[str, float]:
    row: dict[str, float] = {"step": now.step, "seconds": round(now.seconds, 3), "cpu_s": round(now.cpu_s, 3)}
    row["loss"] = sum(now.losses) / len(now.losses) if now.losses else math.nan
    row["lr"] = learning_rate(trainer.plan.training, now.step - 1, steps) * trainer.rate_scale
    row |= {"skipped": now.skipped} if now.skipped else {}
    row |= {"batch": now.batch} if now.batch is not None else {}
    if measure:
        row.update(measure(activate(logits, trainer.plan.model.activation), batch))
    return row
