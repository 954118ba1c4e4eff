"""Thresholds fitted to out-of-fold predictions, and what they gain when judged honestly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.scoring.overlap import CURVE_THRESHOLDS, DiceCurve

# Pixels below a probability of a tenth are never marked, however little there is in an image.
LEAST = 0.1
TEMPERATURES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True)
class Own:
    """Each image's own threshold, of probabilities softened by a temperature (1: as they are).

    Pixels of the kept probability 0 hold none of the target; or, as networks that are too sure of themselves
    need it, up to `background` of them hold what is left of a quarter of a level after softening. There is
    an upper limit lest the empty parts of a slide outweigh all that is seen in it.
    """

    temperature: float = 1.0
    background: int = 0


@dataclass(frozen=True)
class FittedThreshold:
    """A threshold and what it is worth.

    `threshold` is fitted to all cases and is the one to use on new images. `by_fold` holds, for each
    fold, the threshold fitted to the other folds: `fitted_dice` is reached with these, so that no case
    is judged by a threshold that saw it; `default_dice` is reached at 0.5. `gain` is the difference.
    `image_dice` is reached where each image has the threshold of its own that `image_threshold` finds,
    `tempered_dice` where its probabilities are softened for that: as `own` says, fitted to all cases, and as
    `owns` says, fitted to those of the other folds.
    """

    threshold: float
    by_fold: dict[Hashable, float]
    default_dice: float
    fitted_dice: float
    image_dice: float = math.nan
    own: Own = Own()
    owns: dict[Hashable, Own] = field(default_factory=dict)
    tempered_dice: float = math.nan

    @property
    def gain(self) -> float:
        """Dice won by fitting, judged out of fold; negative where fitting does harm."""
        return self.fitted_dice - self.default_dice

    @property
    def image_gain(self) -> float:
        """Dice won by thresholds of the images' own, which nothing is fitted for; NaN where unknown."""
        return self.image_dice - self.default_dice

    @property
    def tempered_gain(self) -> float:
        """The same with softening fitted on the other folds."""
        return self.tempered_dice - self.default_dice


Cut = float | Own


def cut_to_json(cut: Cut) -> float | dict[str, float]:
    """A threshold for a JSON file.

    >>> cut_to_json(Own(2.0)), cut_to_json(0.5)
    ({'temperature': 2.0, 'background': 0}, 0.5)
    """
    return asdict(cut) if isinstance(cut, Own) else cut


def cut_from_json(found: Any) -> Cut:
    """What `cut_to_json` wrote. Raises KeyError, TypeError or ValueError where it is nothing of it."""
    if not isinstance(found, dict):
        return float(found)
    return Own(float(found["temperature"]), int(found.get("background", 0)))


def softened(temperature: float) -> NDArray[np.float64]:
    """What the probabilities k / 255 are to be taken for (256,): logits divided by a temperature.

    What is kept as 0 lay below half a level: it is taken for a quarter of one.
    """
    inside = np.concatenate([[0.25 / 255], CURVE_THRESHOLDS[1:-1]])
    odds = (inside / (1 - inside)) ** (1 / temperature)
    return np.append(odds / (1 + odds), 1.0)


def image_threshold(counts: NDArray[np.int64], own: Own = Own()) -> float:
    """The threshold of the highest expected Dice of one image, from how many pixels have each probability.

    `counts` (256,) are of probabilities k / 255. If these are to be believed, an image in which little is
    certain does best with a low threshold: to its best mask belong pixels above half of the Dice to expect
    of it (Lipton et al. 2014; Dai and Li 2023). Half-way between two levels, the upper one at least 0.1 after
    the softening that `own` says.

    >>> image_threshold(np.bincount([0] * 90 + [77] * 10, minlength=256))
    0.1
    """
    counts = np.concatenate([[min(int(counts[0]), own.background)], counts[1:]])
    at_least = counts[::-1].cumsum()[::-1]
    probability = softened(own.temperature)
    overlap = (counts * probability)[::-1].cumsum()[::-1]
    expected = 2 * overlap / np.maximum(at_least + overlap[0], 1e-9)
    least = max(1, int(np.argmax(probability >= LEAST)))
    return (least + int(np.argmax(expected[least:])) - 0.5) / (len(counts) - 1)


def fit_threshold(curves: Sequence[DiceCurve]) -> float:
    """The threshold of the highest mean Dice over the cases with the target.

    Among equally good thresholds the middle of the widest run is taken. Raises HilumError where no
    case has the target.
    """
    positive = [curve for curve in curves if curve.truth_pixels]
    if not positive:
        raise HilumError("no case has the target: a threshold cannot be fitted, leave it at 0.5")
    score = np.round(np.mean([curve.dice for curve in positive], axis=0), 9)
    best = np.flatnonzero(score >= np.nanmax(score))
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(runs, key=len)
    return float(curves[0].thresholds[[widest[0], widest[-1]]].mean())


def cross_fit_threshold(
    curves: Sequence[DiceCurve],
    folds: Sequence[Hashable],
    counts: Sequence[NDArray[np.int64]] | None = None,
) -> FittedThreshold:
    """Fit on all cases, and for each fold on the others, to say what fitting gains.

    `curves` are out-of-fold, one a case; `folds` names the fold of each, `counts` how many pixels of
    each have each level, for thresholds of the images' own. A fold whose others hold no case with the target
    keeps 0.5. Raises HilumError where no case has it.
    """
    if len(curves) != len(folds):
        raise HilumError(f"{len(curves)} curves and {len(folds)} folds: one fold a case is needed")
    by_fold: dict[Hashable, float] = {}
    for fold in dict.fromkeys(folds):
        others = [curve for curve, own in zip(curves, folds, strict=True) if own != fold]
        known = any(curve.truth_pixels for curve in others)
        by_fold[fold] = fit_threshold(others) if known else 0.5
    chosen = [by_fold[fold] for fold in folds]
    return FittedThreshold(
        threshold=fit_threshold(curves),
        by_fold=by_fold,
        default_dice=_dice_at(curves, [0.5] * len(curves)),
        fitted_dice=_dice_at(curves, chosen),
        **(_of_images(curves, folds, counts) if counts is not None else {}),
    )


def _of_images(
    curves: Sequence[DiceCurve], folds: Sequence[Hashable], counts: Sequence[NDArray[np.int64]]
) -> dict[str, Any]:
    """What each image's own threshold reaches, as it is and with softening fitted on the other folds."""
    having = [k for k, curve in enumerate(curves) if curve.truth_pixels]
    most = max(int(counts[k][0]) for k in having)
    ways = [Own(temperature, background) for background in (0, most) for temperature in TEMPERATURES]
    dice = np.array([[curves[k].at(image_threshold(counts[k], way)).dice for way in ways] for k in having])
    fold_of = np.array([list(dict.fromkeys(folds)).index(folds[k]) for k in having])
    chosen: dict[Hashable, int] = {}
    for number, fold in enumerate(dict.fromkeys(folds)):
        others = dice[fold_of != number]
        chosen[fold] = int(others.mean(0).argmax()) if len(others) else 0
    tempered = [row[chosen[folds[k]]] for k, row in zip(having, dice, strict=True)]
    return {
        "image_dice": float(dice[:, 0].mean()),
        "own": ways[int(dice.mean(0).argmax())],
        "owns": {fold: ways[at] for fold, at in chosen.items()},
        "tempered_dice": float(np.mean(tempered)),
    }


def _dice_at(curves: Sequence[DiceCurve], thresholds: Sequence[float]) -> float:
    counts = [curve.at(threshold) for curve, threshold in zip(curves, thresholds, strict=True)]
    return float(np.mean([count.dice for count in counts if count.truth_pixels]))
