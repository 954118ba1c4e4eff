"""Whether a target is there at all: a score from its probabilities, and a threshold fitted out of fold.

Where frames without a target are common, and a prediction that rightly stays empty counts 1, it pays to
suppress a mask that is not believed. The threshold for that is fitted after the mask's own threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.scoring.overlap import DiceCurve
from hilum.scoring.ranking import auc
from hilum.scoring.thresholds import Cut, Own, image_threshold

_SMOOTHING = 1 / 48
_LEVELS = 255.0


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known out of fold of one case: its fold, presence score and overlap at every threshold.

    `counts` (256,) says how many pixels of the kept map have each probability k / 255.
    """

    fold: int
    score: float
    curve: DiceCurve
    counts: NDArray[np.int64]

    @property
    def empty(self) -> bool:
        """Whether the truth has no pixel of the target."""
        return self.curve.truth_pixels == 0


@dataclass(frozen=True)
class FittedPresence:
    """A presence threshold and what it is worth, judged by the challenge's Dice.

    A mask is kept where its presence score is at or above the threshold; 0 keeps every mask. `threshold`
    is fitted to all cases and is for new images, `by_fold` to the cases of all other folds. `plain` is the
    mean Dice without suppressing anything, `gated` with the thresholds of `by_fold`; both count 1 where
    truth and prediction are empty. `auc` says how well the score tells cases with the target from others.
    """

    threshold: float
    by_fold: Mapping[int, float]
    auc: float
    plain: float
    gated: float
    empty: int
    cases: int

    @property
    def gain(self) -> float:
        """Dice won by suppressing, judged out of fold; negative where it does harm."""
        return self.gated - self.plain


def presence_score(probability: NDArray[np.uint8]) -> float:
    """How sure a probability map (Y, X) or (Z, Y, X), 0 to 255, is that the target is there at all: 0 to 1.

    The highest probability after smoothing over a fiftieth of the shorter side, so that a few stray
    pixels count little and a small but certain structure counts fully.

    >>> presence_score(np.zeros((8, 8), np.uint8)), presence_score(np.full((8, 8), 255, np.uint8))
    (0.0, 1.0)
    """
    sigma = max(0.5, min(probability.shape[-2:]) * _SMOOTHING)
    sigmas = [0.0] * (probability.ndim - 2) + [sigma, sigma]
    smooth = ndimage.gaussian_filter(probability.astype(np.float32), sigmas, mode="nearest", truncate=3)
    return float(np.clip(smooth.max() / _LEVELS, 0, 1).round(6))


def fit_presence(seen: Sequence[Seen], cuts: Mapping[int, Cut], final_cut: Cut) -> FittedPresence | None:
    """Fit the presence threshold to all cases, and for each fold to the others.

    `cuts` holds the mask threshold of each fold, `final_cut` the one for new images. None where all cases
    have the target, or none has. A fold whose others lack one kind
    suppresses nothing.
    """
    present = np.array([not one.empty for one in seen], bool)
    if not len(seen) or present.all() or not present.any():
        return None
    by_fold = {}
    for fold in dict.fromkeys(one.fold for one in seen):
        others = [one for one in seen if one.fold != fold]
        by_fold[fold] = _best(others, cuts[fold])
    plain = [_kept(one, cuts[one.fold]) for one in seen]
    gated = [
        _kept(one, cuts[one.fold]) if one.score >= by_fold[one.fold] else _suppressed(one) for one in seen
    ]
    scores = np.array([one.score for one in seen])
    return FittedPresence(
        threshold=_best(seen, final_cut),
        by_fold=by_fold,
        auc=float(auc(scores, present)[0]),
        plain=float(np.mean(plain)),
        gated=float(np.mean(gated)),
        empty=int((~present).sum()),
        cases=len(seen),
    )


def _best(seen: Sequence[Seen], cut: Cut) -> float:
    """The threshold of the highest mean Dice, half-way between two scores; 0 where nothing pays."""
    if len({one.empty for one in seen}) < 2:
        return 0.0
    ordered = sorted(seen, key=lambda one: one.score)
    change = [0.0, *(_suppressed(one) - _kept(one, cut) for one in ordered)]
    won = np.cumsum(change)
    scores = np.array([one.score for one in ordered])
    possible = np.flatnonzero(np.concatenate([[True], scores[1:] > scores[:-1], [True]]))
    best = int(possible[np.argmax(np.round(won[possible], 9))])
    if best == 0:
        return 0.0
    above = scores[best] if best < len(scores) else 1.0 + 1e-6
    return float((scores[best - 1] + above) / 2)


def _kept(one: Seen, cut: Cut) -> float:
    own = image_threshold(one.counts, cut) if isinstance(cut, Own) else cut
    return one.curve.at(own).challenge_dice


def _suppressed(one: Seen) -> float:
    return 1.0 if one.empty else 0.0


def presence_record(fit: FittedPresence, used: bool) -> dict[str, Any]:
    """The part of summary.json about presence."""
    return {
        "auc": fit.auc,
        "threshold": fit.threshold if used else 0.0,
        "best_threshold": fit.threshold,
        "challenge_dice": fit.gated if used else fit.plain,
        "challenge_dice_plain": fit.plain,
        "gain": fit.gain,
        "used": used,
        "empty": fit.empty,
        "cases": fit.cases,
    }
