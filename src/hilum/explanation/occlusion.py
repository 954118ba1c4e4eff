"""Occlusion sensitivity: how far a probability falls when a part of the image is covered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.image.tiles import tile_starts
from hilum.models.forward import logits_of
from hilum.planning.plan import Plan
from hilum.training.losses import activate

PASSES = 256
PASS_PIXELS = 100_000_000
LEVELS = 3
BATCH_PIXELS = 1_000_000

Score = Callable[[Tensor], Tensor]
Corner = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Occlusion:
    """Fall of each score (K, *S), -1 to 1, by the patches that cover a pixel; negative where it rises."""

    fall: NDArray[np.float32]
    patch: int
    passes: int


def occlusion(score: Score, x: Tensor, passes: int | None = None, patch: int | None = None) -> Occlusion:
    """Cover a prepared image (C, *S) patch by patch with its mean and see how far the scores fall.

    `score` takes images (B, C, *S) and gives scores (B, K). Patches first stand side by side; while fewer
    than `passes` images were looked at, more are put between them where the scores fell or rose most.
    A pixel's value is the mean over the patches that cover it. After Zeiler and Fergus 2014.
    """
    sides = tuple(x.shape[1:])
    passes = passes or affordable_passes(sides)
    patch = patch or _patch(sides, passes)
    base = score(x[None])[0].double()
    total, times = torch.zeros(len(base), *sides, dtype=torch.float64), torch.zeros(sides)
    done: set[Corner] = set()
    for level in range(LEVELS):
        new = [corner for corner in _corners(sides, patch, level) if corner not in done]
        chosen = _by_effect(new, total / times.clamp(min=1), patch)[: max(passes - len(done), 0)]
        for corner, fall in _falls(score, x, base, chosen, patch):
            where = _window(corner, patch)
            total[(slice(None), *where)] += fall.reshape(-1, *[1] * len(sides))
            times[where] += 1
        done.update(chosen)
    return Occlusion((total / times.clamp(min=1)).float().numpy(), patch, len(done))


def affordable_passes(sides: Sequence[int]) -> int:
    """Passes over images of this size that end within a minute or so: 16 to 256."""
    return max(16, min(PASSES, PASS_PIXELS // math.prod(sides)))


def output_score(
    network: nn.Module,
    plan: Plan,
    outputs: Sequence[int],
    where: NDArray[np.bool_] | None = None,
) -> Score:
    """The score that `occlusion` takes: probabilities of some outputs of a network, (B, K).

    Of a segmenter the mean probability inside `where` (K, *S), over the whole image where that is empty.
    """
    inside = None if where is None else torch.from_numpy(np.ascontiguousarray(where)).float()

    def score(x: Tensor) -> Tensor:
        with torch.inference_mode():
            logits = logits_of(network, x, plan.training.precision)
        chosen = activate(logits, plan.model.activation)[:, list(outputs)].cpu()
        if chosen.ndim == 2:
            return chosen
        chosen = chosen.flatten(2)
        if inside is None:
            return chosen.mean(2)
        weight = inside.flatten(1)
        weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, 1.0)
        return (chosen * weight).sum(2) / weight.sum(1)

    return score


def _patch(sides: Sequence[int], passes: int) -> int:
    """The smallest patch, an eighth of the image or more, of which three in four passes cover it all."""
    patch = max(1, max(sides) // 8)
    while math.prod(-(-side // patch) for side in sides) > max(1, 3 * passes // 4):
        patch += max(1, patch // 8)
    return patch


def _corners(sides: Sequence[int], patch: int, level: int) -> list[Corner]:
    """First corners of patches that cover the image; at each level they stand twice as close."""
    overlap = patch - max(1, patch >> level)
    return list(itertools.product(*(tile_starts(side, patch, overlap) for side in sides)))


def _by_effect(corners: list[Corner], fall: Tensor, patch: int) -> list[Corner]:
    """The corners whose patch covers the strongest effect so far first; in reading order at the start."""
    strength = fall.abs().amax(0)

    def effect(corner: Corner) -> float:
        return -float(strength[_window(corner, patch)].mean())

    return sorted(corners, key=effect)


def _falls(
    score: Score, x: Tensor, base: Tensor, corners: Sequence[Corner], patch: int
) -> Iterator[tuple[Corner, Tensor]]:
    size = max(1, min(32, BATCH_PIXELS // x[0].numel()))
    fill = x.flatten(1).mean(1).reshape(-1, *[1] * (x.ndim - 1))
    for start in range(0, len(corners), size):
        some = corners[start : start + size]
        batch = x[None].repeat(len(some), *[1] * x.ndim)
        for image, corner in zip(batch, some, strict=True):
            image[(slice(None), *_window(corner, patch))] = fill
        yield from zip(some, base - score(batch).double(), strict=True)


def _window(corner: Corner, patch: int) -> tuple[slice, ...]:
    return tuple(slice(at, at + patch) for at in corner)
