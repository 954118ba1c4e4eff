"""From probabilities to masks: thresholds and presence fitted out of fold, kept with the run, applied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.files import read_json, write_json
from hilum.planning.plan import Plan
from hilum.scoring.thresholds import FittedThreshold, cross_fit_threshold
from hilum.tasks.presence import FittedPresence, Seen, fit_presence, presence_record, presence_score
from hilum.training.run import Run

WORTH_FITTING = 0.002
THRESHOLDS = "thresholds.json"
PRESENCE = "presence.json"


@dataclass(frozen=True)
class Decisions:
    """The fitted threshold of each target, and its presence threshold where there is one."""

    thresholds: Mapping[str, FittedThreshold]
    presence: Mapping[str, FittedPresence]

    def cuts(self, fold: int) -> list[float]:
        """The mask threshold of each target to judge a fold by."""
        return [_cut(fit, fold) for fit in self.thresholds.values()]

    def gates(self, fold: int) -> list[float]:
        """The presence threshold of each target to judge a fold by; 0 keeps every mask."""
        return [
            fit.by_fold.get(fold, 0.0) if (fit := self.presence.get(target)) and _pays(fit) else 0.0
            for target in self.thresholds
        ]

    def records(self) -> dict[str, dict[str, Any]]:
        """What summary.json says of each target's decisions."""
        records: dict[str, dict[str, Any]] = {
            target: {"fitted": _fit_record(fit)} for target, fit in self.thresholds.items()
        }
        for target, found in self.presence.items():
            records[target]["presence"] = presence_record(found, _pays(found))
        return records


def decided(
    targets: Sequence[str], probability: NDArray[np.uint8], cuts: Sequence[float], gates: Sequence[float]
) -> dict[str, NDArray[np.bool_]]:
    """Masks at or above the thresholds, left empty where the target is not believed to be there at all."""
    masks = {target: probability[k] >= cuts[k] * 255 for k, target in enumerate(targets)}
    for k, target in enumerate(targets):
        if gates[k] > 0 and presence_score(probability[k]) < gates[k]:
            masks[target] = np.zeros_like(masks[target])
    return masks


def fit_decisions(plan: Plan, seen: Sequence[Mapping[str, Seen]]) -> Decisions:
    """Fit thresholds, then presence, to what was seen out of fold of each case: {target: Seen}."""
    by_target = {target: [one[target] for one in seen if target in one] for target in plan.data.outputs}
    thresholds = {target: _fit_threshold(plan, having) for target, having in by_target.items()}
    presence = {
        target: found
        for target, having in by_target.items()
        if plan.scoring.metric == "challenge" and (found := _fit_presence(having, thresholds[target]))
    }
    return Decisions(thresholds, presence)


def _fit_threshold(plan: Plan, having: Sequence[Seen]) -> FittedThreshold:
    wanted, folds = plan.scoring.threshold, [one.fold for one in having]
    if wanted == "fit" and not all(one.empty for one in having):
        return cross_fit_threshold([one.curve for one in having], folds)
    cut = 0.5 if wanted == "fit" else float(wanted)
    return FittedThreshold(cut, dict.fromkeys(folds, cut), math.nan, math.nan)


def _fit_presence(having: Sequence[Seen], fit: FittedThreshold) -> FittedPresence | None:
    return fit_presence(having, {one.fold: _cut(fit, one.fold) for one in having}, _final_cut(fit))


def write_decisions(run: Run, fitted: Decisions) -> None:
    """Keep what is to be used on new images."""
    cuts = {target: _final_cut(fit) for target, fit in fitted.thresholds.items()}
    gates = {target: fit.threshold for target, fit in fitted.presence.items() if _pays(fit)}
    write_json(run.evaluation / THRESHOLDS, cuts)
    write_json(run.evaluation / PRESENCE, gates)


def final_thresholds(run: Run) -> list[float]:
    """The threshold of each target for new images."""
    if run.plan.scoring.threshold != "fit":
        return [float(run.plan.scoring.threshold)] * len(run.plan.data.outputs)
    return _read(run, THRESHOLDS, 0.5)


def final_presence(run: Run) -> list[float]:
    """The presence threshold of each target for new images; 0 keeps every mask."""
    return _read(run, PRESENCE, 0.0)


def _read(run: Run, name: str, default: float) -> list[float]:
    path = run.evaluation / name
    found = read_json(path) if path.is_file() else {}
    return [float(found.get(target, default)) for target in run.plan.data.outputs]


def _pays(presence: FittedPresence) -> bool:
    return presence.gain >= WORTH_FITTING


def _worth(fit: FittedThreshold) -> bool:
    return not math.isnan(fit.gain) and fit.gain >= WORTH_FITTING


def _cut(fit: FittedThreshold, fold: int) -> float:
    """The threshold to judge a fold by: fitted to the other folds where that pays, 0.5 else."""
    if math.isnan(fit.default_dice):
        return fit.threshold
    return fit.by_fold.get(fold, 0.5) if _worth(fit) else 0.5


def _final_cut(fit: FittedThreshold) -> float:
    return fit.threshold if _worth(fit) or math.isnan(fit.default_dice) else 0.5


def _fit_record(fit: FittedThreshold) -> dict[str, Any]:
    return {
        "threshold": _final_cut(fit),
        "best_threshold": fit.threshold,
        "gain": fit.gain,
        "dice_at_half": fit.default_dice,
        "dice_fitted": fit.fitted_dice,
        "used": _worth(fit),
    }
