"""From probabilities to masks: thresholds and presence fitted out of fold, kept with the run, applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import RunError
from hilum.files import read_json, write_json
from hilum.inference.keeping import level_counts
from hilum.inference.predictor import enlarged
from hilum.planning.plan import Plan
from hilum.scoring.thresholds import (
    Cut,
    FittedThreshold,
    Own,
    cross_fit_threshold,
    cut_from_json,
    cut_to_json,
    image_threshold,
)
from hilum.tasks.presence import FittedPresence, Seen, fit_presence, presence_record, presence_score
from hilum.training.run import Run

WORTH_FITTING = 0.002
THRESHOLDS = "thresholds.json"
PRESENCE = "presence.json"


@dataclass(frozen=True)
class Decisions:
    """The fitted threshold of each target, and its presence threshold where there is one.

    `wanted` is the plan's `scoring.threshold`: a number, "image", or "fit" for what pays.
    """

    thresholds: Mapping[str, FittedThreshold]
    presence: Mapping[str, FittedPresence]
    wanted: float | str = "fit"

    def cuts(self, fold: int) -> list[Cut]:
        """The mask threshold of each target to judge a fold by."""
        return [_cut(fit, self.wanted, fold) for fit in self.thresholds.values()]

    def final_cuts(self) -> dict[str, Cut]:
        """The mask threshold of each target for new images."""
        return {target: _final_cut(fit, self.wanted) for target, fit in self.thresholds.items()}

    def gates(self, fold: int) -> list[float]:
        """The presence threshold of each target to judge a fold by; 0 keeps every mask."""
        return [
            fit.by_fold.get(fold, 0.0) if (fit := self.presence.get(target)) and _pays(fit) else 0.0
            for target in self.thresholds
        ]

    def records(self) -> dict[str, dict[str, Any]]:
        """What summary.json says of each target's decisions."""
        records: dict[str, dict[str, Any]] = {
            target: {"fitted": _fit_record(fit, self.wanted)} for target, fit in self.thresholds.items()
        }
        for target, found in self.presence.items():
            records[target]["presence"] = presence_record(found, _pays(found))
        return records


def cuts_of(cuts: Sequence[Cut], counts: Callable[[], NDArray[np.int64]]) -> list[float]:
    """The thresholds as numbers: for the image's own, what its levels (K, 256) suggest.

    `counts` is asked only where an image has its own: those of a huge image take a pass over it.
    """
    if not any(isinstance(cut, Own) for cut in cuts):
        return [cut for cut in cuts if not isinstance(cut, Own)]
    return [
        image_threshold(own, cut) if isinstance(cut, Own) else cut
        for own, cut in zip(counts(), cuts, strict=True)
    ]


def decided(
    targets: Sequence[str], probability: NDArray[np.uint8], cuts: Sequence[float], gates: Sequence[float]
) -> dict[str, NDArray[np.bool_]]:
    """Masks at or above the thresholds, left empty where the target is not believed to be there at all."""
    masks = {target: probability[k] >= cuts[k] * 255 for k, target in enumerate(targets)}
    for k, target in enumerate(targets):
        if gates[k] > 0 and presence_score(probability[k]) < gates[k]:
            masks[target] = np.zeros_like(masks[target])
    return masks


def decided_whole(
    targets: Sequence[str],
    working: NDArray[np.uint8],
    shape: tuple[int, ...],
    cuts: Sequence[Cut],
    gates: Sequence[float],
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.uint8], list[float]]:
    """Masks of an image of a shape, its levels (K, *shape) and thresholds, from levels (K, *S') as kept."""
    probability, own = enlarged(working, shape), cuts_of(cuts, partial(level_counts, working))
    return decided(targets, probability, own, gates), probability, own


def fit_decisions(plan: Plan, seen: Sequence[Mapping[str, Seen]]) -> Decisions:
    """Fit thresholds, then presence, to what was seen out of fold of each case: {target: Seen}."""
    wanted = plan.scoring.threshold
    by_target = {target: [one[target] for one in seen if target in one] for target in plan.data.outputs}
    thresholds = {target: _fit_threshold(having) for target, having in by_target.items()}
    presence = {
        target: found
        for target, having in by_target.items()
        if plan.scoring.metric == "challenge" and (found := _fit_presence(having, thresholds[target], wanted))
    }
    return Decisions(thresholds, presence, wanted)


def _fit_threshold(having: Sequence[Seen]) -> FittedThreshold:
    if all(one.empty for one in having):
        return FittedThreshold(0.5, {}, math.nan, math.nan)
    counts = [one.counts for one in having]
    return cross_fit_threshold([one.curve for one in having], [one.fold for one in having], counts=counts)


def _fit_presence(having: Sequence[Seen], fit: FittedThreshold, wanted: float | str) -> FittedPresence | None:
    cuts = {one.fold: _cut(fit, wanted, one.fold) for one in having}
    return fit_presence(having, cuts, _final_cut(fit, wanted))


def write_decisions(run: Run, fitted: Decisions) -> None:
    """Keep what is to be used on new images."""
    cuts = {target: cut_to_json(cut) for target, cut in fitted.final_cuts().items()}
    gates = {target: fit.threshold for target, fit in fitted.presence.items() if _pays(fit)}
    write_json(run.evaluation / THRESHOLDS, cuts)
    write_json(run.evaluation / PRESENCE, gates)


def final_thresholds(run: Run) -> list[Cut]:
    """The threshold of each target for new images. Raises RunError where the file is damaged."""
    wanted, count = run.plan.scoring.threshold, len(run.plan.data.outputs)
    if wanted != "fit":
        return [Own() if isinstance(wanted, str) else float(wanted)] * count
    try:
        return [cut_from_json(found) for found in _read(run, THRESHOLDS, 0.5)]
    except (KeyError, TypeError, ValueError) as error:
        path = run.evaluation / THRESHOLDS
        raise RunError(f"{path}: is not what hilum evaluate writes ({error}); run it again") from error


def final_presence(run: Run) -> list[float]:
    """The presence threshold of each target for new images; 0 keeps every mask."""
    return [float(gate) for gate in _read(run, PRESENCE, 0.0)]


def _read(run: Run, name: str, default: float) -> list[Any]:
    path = run.evaluation / name
    found = read_json(path) if path.is_file() else {}
    return [found.get(target, default) for target in run.plan.data.outputs]


def _pays(presence: FittedPresence) -> bool:
    return presence.gain >= WORTH_FITTING


def _cut(fit: FittedThreshold, wanted: float | str, fold: int) -> Cut:
    """The threshold to judge a fold by: fitted to the other folds where that is the choice."""
    return _chosen(fit, wanted, fit.by_fold.get(fold, 0.5), fit.owns.get(fold, Own()))


def _final_cut(fit: FittedThreshold, wanted: float | str) -> Cut:
    return _chosen(fit, wanted, fit.threshold, fit.own)


def _chosen(fit: FittedThreshold, wanted: float | str, fitted: float, own: Own) -> Cut:
    if not isinstance(wanted, str):
        return wanted
    cuts: dict[str, Cut] = {"half": 0.5, "fitted": fitted, "image": Own(), "tempered": own}
    return cuts[_best(fit, wanted)]


def _best(fit: FittedThreshold, wanted: float | str) -> str:
    """Which threshold is used: "given", "image", or what scores best of these, "fitted" and "half".

    "image" is each image's own, "tempered" the same with fitted softening. Where one fold alone was trained
    nothing can be fitted on others: then it is "image".
    """
    if wanted != "fit":
        return "image" if wanted == "image" else "given"
    if len(fit.by_fold) == 1:
        return "image"
    gains = {"image": fit.image_gain, "tempered": fit.tempered_gain, "fitted": fit.gain}
    paying = {name: gain for name, gain in gains.items() if gain >= WORTH_FITTING}
    return max(paying, key=lambda name: paying[name], default="half")


def _fit_record(fit: FittedThreshold, wanted: float | str) -> dict[str, Any]:
    return {
        "threshold": cut_to_json(_final_cut(fit, wanted)),
        "best_threshold": fit.threshold,
        "gain": fit.gain,
        "image_gain": fit.image_gain,
        "tempered_gain": fit.tempered_gain,
        "dice_at_half": fit.default_dice,
        "dice_fitted": fit.fitted_dice,
        "dice_by_image": fit.image_dice,
        "dice_tempered": fit.tempered_dice,
        "temperature": fit.own.temperature,
        "background": fit.own.background,
        "choice": _best(fit, wanted),
    }
