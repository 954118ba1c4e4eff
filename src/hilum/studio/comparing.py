"""Two rounds side by side on the same held-out cases, against the masks as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.image.mask_files import mask_file
from hilum.image.readers import read_image
from hilum.scoring.bootstrap import interval
from hilum.scoring.overlap import overlap
from hilum.studio.rounds import case_scores
from hilum.studio.view import View
from hilum.study.masks import read_masks
from hilum.training.run import Run


@dataclass(frozen=True)
class Pair:
    """One case and target (or class): its score by the round before and by the round after, 0 to 1."""

    case: str
    group: str
    target: str
    before: float
    after: float


@dataclass(frozen=True)
class Change:
    """What a round changed on the cases that both held out: means, their difference and its interval."""

    target: str
    cases: int
    before: float
    after: float
    interval: tuple[float, float]

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """In a word: better, worse, or no clear difference.

        >>> Change("nerve", 9, 0.8, 0.9, (0.05, 0.15)).verdict
        'better'
        """
        low, high = self.interval
        if low > 0 or (np.isnan(low) and self.difference > 0.005):
            return "better"
        if high < 0 or (np.isnan(low) and self.difference < -0.005):
            return "worse"
        return "no clear difference"


def pairs(view: View, before: Run, after: Run) -> list[Pair]:
    """Scores of both rounds on every case that both predicted out of fold.

    Masks of both are scored against the truth as it is on disk now, so that a corrected mask favours neither.
    """
    if view.study.classes:
        old, new = case_scores(before), case_scores(after)
        shared = [name for name in new if name in old]
        found = {one.name: one.group for one in view.cases}
        return [
            Pair(n, found.get(n, n), "right", *(next(iter(of[n].values())) for of in (old, new)))
            for n in shared
        ]
    result = []
    for case in view.cases:
        for target in case.masks:
            masks = [_predicted(run, target, case.name) for run in (before, after)]
            if masks[0] is None or masks[1] is None:
                continue
            truth = read_masks(case, [target], masks[1].shape)[0][0]
            scores = [overlap(truth, mask).dice for mask in masks if mask is not None]
            if truth.any() and not any(map(np.isnan, scores)):
                result.append(Pair(case.name, case.group, target, *scores))
    return result


def _predicted(run: Run, target: str, case: str) -> NDArray[np.bool_] | None:
    path = mask_file(run.predictions, target, case)
    try:
        return np.asarray(read_image(path).array[0] > 0) if path else None
    except HilumError:
        return None


def changes(found: Sequence[Pair]) -> list[Change]:
    """The change of each target, with an interval over groups."""
    result = []
    for target in dict.fromkeys(pair.target for pair in found):
        chosen = [pair for pair in found if pair.target == target]
        bounds = interval([pair.after - pair.before for pair in chosen], [pair.group for pair in chosen])
        before, after = (float(np.mean([getattr(p, name) for p in chosen])) for name in ("before", "after"))
        result.append(Change(target, len(chosen), before, after, bounds))
    return result


def better(found: Sequence[Change]) -> bool:
    """Whether the later round can take over: no target is clearly worse, nor is the mean over targets."""
    worse = any(change.verdict == "worse" for change in found)
    return not worse and (not found or sum(change.difference for change in found) >= 0)
