"""Losses by name. Each takes logits and wanted output (B, K[, *S]) and what is known (B, K)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hilum.errors import PlanError


def activate(logits: Tensor, activation: str) -> Tensor:
    """Logits (B, K[, *S]) to probabilities. "softmax+background" adds a background of logit 0."""
    match activation:
        case "sigmoid":
            return logits.sigmoid()
        case "softmax":
            return logits.softmax(1)
        case _:
            return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).softmax(1)[:, 1:]


@dataclass(frozen=True, eq=False)
class Wanted:
    """The wanted output `y` (B, K[, *S]), `known` (B, K), `weight` (B,) by sample, `classes` by output.

    `classes` (K,) weighs outputs; for whole-image labels (2, K) weighs their absence, then their presence.
    """

    y: Tensor
    known: Tensor
    weight: Tensor
    classes: Tensor
    activation: str


def entropy(logits: Tensor, wanted: Wanted) -> Tensor:
    """Cross-entropy: binary for sigmoids, over outputs for a softmax; unknown outputs count nothing."""
    if wanted.activation == "sigmoid":
        loss = (
            F.binary_cross_entropy_with_logits(logits, wanted.y, reduction="none").flatten(2).mean(2)
            if (logits.ndim > 2)
            else F.binary_cross_entropy_with_logits(logits, wanted.y, reduction="none")
        )
        balance = _balance(wanted)
        share = wanted.known * wanted.weight[:, None] * balance
        return (loss * share).sum() / (wanted.known * wanted.weight[:, None]).sum().clamp(min=1e-6)
    y = wanted.y
    if wanted.activation == "softmax+background":
        logits = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)
        y = torch.cat([(1 - y.sum(1, keepdim=True)).clamp(min=0), y], 1)
    loss = -(y * logits.log_softmax(1)).sum(1)
    loss = loss.flatten(1).mean(1) if loss.ndim > 1 else loss * ((wanted.y > 0.5) * wanted.classes).sum(1)
    share = wanted.weight * wanted.known.amin(1)
    return (loss * share).sum() / share.sum().clamp(min=1e-6)


def _balance(wanted: Wanted) -> Tensor:
    """Weight by output for whole-image labels: `classes` where present, 1 or the weight of absence else."""
    if wanted.y.ndim != 2:
        return torch.ones_like(wanted.known)
    absent, present = wanted.classes if wanted.classes.ndim == 2 else (wanted.y.new_ones(()), wanted.classes)
    return torch.where(wanted.y > 0.5, present, absent)


def dice(logits: Tensor, wanted: Wanted) -> Tensor:
    """One minus soft Dice of each output over the whole batch, smoothing 1 (after Milletari et al. 2016)."""
    return _dice_of_batch(*_overlaps(logits, wanted), wanted)


def dice_by_image(logits: Tensor, wanted: Wanted) -> Tensor:
    """One minus soft Dice of each output of each image, smoothing 1."""
    return _dice_of_images(*_overlaps(logits, wanted), wanted)


def _overlaps(logits: Tensor, wanted: Wanted) -> tuple[Tensor, Tensor]:
    """Soft overlap of output and wanted output, and their sizes added, by image: (B, K) each."""
    probability, y = activate(logits, wanted.activation).flatten(2), wanted.y.flatten(2)
    return (probability * y).sum(2), probability.sum(2) + y.sum(2)


def _dice_of_batch(both: Tensor, sizes: Tensor, wanted: Wanted) -> Tensor:
    known = wanted.known * wanted.weight[:, None]
    return (1 - (2 * (both * known).sum(0) + 1) / ((sizes * known).sum(0) + 1)).mean()


def _dice_of_images(both: Tensor, sizes: Tensor, wanted: Wanted) -> Tensor:
    known = wanted.known * wanted.weight[:, None]
    return ((1 - (2 * both + 1) / (sizes + 1)) * known).sum() / known.sum().clamp(min=1e-6)


def negative_dice(logits: Tensor, wanted: Wanted) -> Tensor:
    """Minus soft Dice over the batch flattened, smoothing 1, as the 2016 ultrasound tutorial trains."""
    both, sizes = _overlaps(logits, wanted)
    known = wanted.known * wanted.weight[:, None]
    return -(2 * (both * known).sum() + 1) / ((sizes * known).sum() + 1)


def dice_both(logits: Tensor, wanted: Wanted) -> Tensor:
    """Mostly Dice by image, for images with little target, some over the batch, for those with much."""
    overlaps = _overlaps(logits, wanted)
    return 0.7 * _dice_of_images(*overlaps, wanted) + 0.3 * _dice_of_batch(*overlaps, wanted)


Loss = Callable[[Tensor, Wanted], Tensor]

LOSSES: dict[str, Loss] = {
    "entropy": entropy,
    "dice": dice,
    "negative-dice": negative_dice,
    "bce+dice": lambda logits, wanted: entropy(logits, wanted) + dice(logits, wanted),
    "bce+dice-both": lambda logits, wanted: entropy(logits, wanted) + dice_both(logits, wanted),
    "bce+dice-by-image": lambda logits, wanted: entropy(logits, wanted) + dice_by_image(logits, wanted),
}


def find_loss(name: str) -> Loss:
    """A loss by name. Raises PlanError that lists the names."""
    if name not in LOSSES:
        raise PlanError(f"training.loss: {name!r} is not a loss; choose one of {', '.join(sorted(LOSSES))}")
    return LOSSES[name]
