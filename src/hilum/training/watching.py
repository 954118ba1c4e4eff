"""Held-back samples scored while training: the learning rate falls, training stops, best weights are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hilum.image.tiles import tile_slices
from hilum.models.forward import logits_of
from hilum.planning.plan import Plan, TrainingPlan
from hilum.training.batches import Batch
from hilum.training.losses import Wanted, activate, find_loss
from hilum.training.samples import Sample
from hilum.training.slices import slabs

Measure = Callable[[Tensor, Batch], Mapping[str, float]]
MOST_LOOKS = 40
LOSS, PREFIX = "val_loss", "val_"
_AT_ONCE = 64
_SLICES = 8
_BLOCKS = 2


@dataclass(frozen=True)
class Watched:
    """Where watching stands; kept with the state, so that a resumed training goes on alike.

    `score` and `loss` are the best so far, at step `best_step`; `waited` counts looks without a better
    score; `scale` multiplies the learning rate; `stopped` says that the wish was fulfilled.
    """

    score: float | None = None
    loss: float | None = None
    best_step: int = 0
    waited: int = 0
    scale: float = 1.0
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def next(self, score: float, loss: float, step: int, plan: TrainingPlan) -> Watched:
        """What one more look changes; a NaN score is never better.

        >>> seen = Watched().next(0.8, 0.5, 10, TrainingPlan(schedule="plateau", plateau_patience=1))
        >>> seen.next(0.8, 0.4, 20, TrainingPlan(schedule="plateau", plateau_patience=1)).scale
        0.5
        """
        risen = not math.isnan(score) and (self.score is None or score > self.score)
        calmer = score == self.score and (self.loss is None or loss < self.loss)
        waited = 0 if risen else self.waited + 1
        falls = plan.schedule == "plateau" and waited >= plan.plateau_patience
        wished = plan.stop_at is not None or plan.stop_loss is not None
        stopped = (
            wished
            and (plan.stop_at is None or score > plan.stop_at)
            and (plan.stop_loss is None or loss < plan.stop_loss)
        )
        seen = replace(
            self,
            waited=0 if falls else waited,
            scale=self.scale * plan.plateau_factor if falls else self.scale,
            stopped=stopped,
        )
        return replace(seen, score=score, loss=loss, best_step=step) if risen or calmer else seen


def needs_watching(plan: TrainingPlan) -> bool:
    """Whether the plan asks for something that held-back samples decide."""
    return bool(watched_for(plan))


def watched_for(plan: TrainingPlan) -> list[str]:
    """The settings for which held-back samples are looked at, as a user writes them."""
    return ["training.watch=true"] * plan.watch + decided_by(plan)


def decided_by(plan: TrainingPlan) -> list[str]:
    """The settings by which held-back samples decide something, as a user writes them."""
    wishes = {
        "training.schedule=plateau": plan.schedule == "plateau",
        "training.keep=best": plan.keep == "best",
        "training.stop_at": plan.stop_at is not None,
        "training.stop_loss": plan.stop_loss is not None,
    }
    return [name for name, wished in wishes.items() if wished]


def epoch_steps(samples: int, plan: TrainingPlan) -> int:
    """Steps in which as many samples are drawn as there are."""
    return max(1, math.ceil(samples / plan.batch))


def look_every(samples: int, steps: int, plan: TrainingPlan) -> int:
    """Steps between two looks: an epoch, or more where nothing is decided and there are very many."""
    epoch = epoch_steps(samples, plan)
    return epoch if decided_by(plan) else max(epoch, math.ceil(steps / MOST_LOOKS))


def steps_beside_looks(
    available_s: float, step_s: float, look_s: float, samples: int, plan: TrainingPlan
) -> int:
    """Steps that fit into the time beside the looks that come with them."""
    every_epoch = int(available_s / (step_s + look_s / epoch_steps(samples, plan)))
    if look_every(samples, max(1, every_epoch), plan) <= epoch_steps(samples, plan):
        return every_epoch
    return int((available_s - MOST_LOOKS * look_s) / step_s)


@torch.inference_mode()
def look(
    network: nn.Module, samples: Sequence[Sample], plan: Plan, measure: Measure | None
) -> dict[str, float]:
    """Loss and scores of held-back samples, `{"val_loss": 0.2, "val_accuracy": 0.93}`; whole images.

    Scores of labels are over all samples together, those of masks are means over samples.
    """
    training = network.training
    network.eval()
    parts = [_answer(network, chunk, plan) for chunk in _chunks(samples)]
    network.train(training)
    if samples[0].label is not None:
        logits, y, known = (torch.cat(group) for group in zip(*parts, strict=True))
        parts = [(logits, y, known)]
    rows = [_scored(*part, plan, measure) for part in parts]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {PREFIX + name: _mean([row[name] for row in rows if name in row]) for name in names}


def watched_score(values: Mapping[str, float]) -> float:
    """The score that decides: the first one, meaned over outputs where it is given for each.

    >>> watched_score({"val_loss": 0.3, "val_dice_A": 0.8, "val_dice_B": 0.6})
    0.7
    """
    names = [name for name in values if name.startswith(PREFIX) and name != LOSS]
    if not names:
        return -values.get(LOSS, math.nan)
    head = names[0].removeprefix(PREFIX).partition("_")[0]
    return _mean([values[name] for name in names if name.removeprefix(PREFIX).partition("_")[0] == head])


def _answer(network: nn.Module, samples: Sequence[Sample], plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, wanted output and what is known of samples of one shape."""
    known = torch.stack([sample.known for sample in samples])
    labels = [sample.label for sample in samples if sample.label is not None]
    if len(samples[0].shape) > len(plan.training.patch):
        logits = torch.stack([_by_slice(network, sample, plan) for sample in samples])
    else:
        x = torch.stack([sample.stack[: sample.channels] for sample in samples])
        logits = _logits(network, x, plan) if labels or x.ndim == 4 else _by_block(network, x, plan)
    if labels:
        return logits, torch.stack(labels), known
    masks = torch.stack([sample.stack[sample.channels :] for sample in samples])
    return logits, (masks > 0.5).float(), known


def _logits(network: nn.Module, x: Tensor, plan: Plan) -> Tensor:
    """Logits (B, K[, *S]) of inputs (B, C, *S), from a pass like that of prediction."""
    return logits_of(network, x, plan.training.precision).cpu()


def _by_slice(network: nn.Module, sample: Sample, plan: Plan) -> Tensor:
    """Logits of a volume by a network of slices: (K, Z, Y, X), or (K,), the mean over slices, of a label."""
    image, planes = sample.stack[: sample.channels], range(sample.shape[0])
    few = [planes[start : start + _SLICES] for start in range(0, len(planes), _SLICES)]
    logits = torch.cat([_logits(network, slabs(image, part, sample.neighbours), plan) for part in few])
    return logits.mean(0) if sample.label is not None else logits.movedim(0, 1)


def _by_block(network: nn.Module, x: Tensor, plan: Plan) -> Tensor:
    """Logits (B, K, Z, Y, X) of volumes, block by block as memory allows."""
    block = [_BLOCKS * side for side in plan.training.patch]
    logits = torch.zeros(len(x), len(plan.data.outputs), *x.shape[2:])
    for place in tile_slices(x.shape[2:], block, [0] * len(block)):
        inside = (slice(None), slice(None), *place)
        logits[inside] = _logits(network, x[inside], plan)
    return logits


def _scored(
    logits: Tensor, y: Tensor, known: Tensor, plan: Plan, measure: Measure | None
) -> dict[str, float]:
    weight, classes = torch.ones(len(y)), torch.ones(y.shape[1])
    loss = find_loss(plan.training.loss)(logits, Wanted(y, known, weight, classes, plan.model.activation))
    row = {"loss": float(loss)}
    if measure:
        probability = activate(logits, plan.model.activation)
        row.update(measure(probability, Batch(torch.zeros(0), y, known, weight)))
    return row


def _chunks(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Samples of one shape together, masks one by one."""
    by_shape: dict[tuple[int, ...], list[Sample]] = {}
    for sample in samples:
        by_shape.setdefault(sample.shape, []).append(sample)
    for group in by_shape.values():
        size = _AT_ONCE if group[0].label is not None else 1
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
