"""Scores of a segmenter: a row for each case and target, and their summary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.scoring.bootstrap import SAMPLES, interval, interval_of_totals
from hilum.scoring.overlap import dice_at_thresholds, overlap, ratio
from hilum.scoring.surface import UNDEFINED, surface_distances

TABLE_THRESHOLDS = (0.2, 0.4, 0.6, 0.8)
OVERLAP_SCORES = ("dice", "jaccard", "precision", "recall")
SURFACE_SCORES = ("hd95", "msd")


@dataclass(frozen=True)
class CaseScore:
    """Scores of one target in one case.

    Counts are pixels. `dice`, `jaccard`, `precision` and `recall` are 0 to 1 at `threshold`;
    `dice_at` maps other thresholds to Dice. `hd95` and `msd` (95 % Hausdorff and mean surface
    distance) are in `unit`. `false_positive_share` is the share of the pixels wrongly
    predicted, 0 to 1. NaN where a score is not defined: see `hilum.scoring.overlap` and `.surface`.
    """

    case: str
    group: str
    fold: int | None
    target: str
    threshold: float
    dice: float
    jaccard: float
    precision: float
    recall: float
    hd95: float
    msd: float
    unit: str
    truth_pixels: int
    predicted_pixels: int
    false_positive_share: float
    tp: int
    fp: int
    fn: int
    dice_at: dict[float, float] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether the truth has no pixel of the target."""
        return self.truth_pixels == 0


def case_scores(
    prediction: NDArray[Any],
    truth: NDArray[np.bool_],
    targets: Sequence[str],
    *,
    annotated: Sequence[bool] | NDArray[np.bool_] | None = None,
    sizes: Sequence[float] | None = None,
    unit: str = "px",
    thresholds: Sequence[float] | None = None,
    decision: NDArray[np.bool_] | None = None,
    case: str = "",
    group: str = "",
    fold: int | None = None,
) -> list[CaseScore]:
    """Score one case: a row for each annotated target.

    `prediction` (T, Y, X) or (T, Z, Y, X) holds probabilities (float in 0 to 1, or uint8 with 255 for
    certainty) or bool masks; `truth` bool masks of the same shape. A pixel is predicted where its
    probability is at or above the target's of `thresholds` (0.5 each if not given), or where the bool
    masks `decision` say so, after post-processing for instance. `annotated` (T,) is False for targets
    that nobody marked in this case: they get no row. `sizes` is the spacing in array order, in `unit`.
    Raises HilumError where shapes or counts do not fit.
    """
    if prediction.shape != truth.shape or len(targets) != len(truth):
        raise HilumError(
            f"{case or 'case'}: prediction {prediction.shape}, truth {truth.shape} "
            f"and {len(targets)} targets do not fit: both must be (targets, *image)"
        )
    marked = [True] * len(targets) if annotated is None else annotated
    cuts = [0.5] * len(targets) if thresholds is None else thresholds
    sizes = (1.0,) * (truth.ndim - 1) if sizes is None else sizes
    return [
        CaseScore(
            case=case,
            group=group,
            fold=fold,
            target=target,
            threshold=float(cuts[i]),
            unit=unit,
            dice_at=_dice_at(prediction[i], truth[i]),
            **_mask_scores(_decided(prediction, cuts, decision, i), truth[i], sizes),
        )
        for i, target in enumerate(targets)
        if marked[i]
    ]


def summarise(rows: Iterable[CaseScore], samples: int = SAMPLES, seed: int = 0) -> dict[str, Any]:
    """The segmentation part of summary.json: `{"targets": {NAME: {"dice": {"mean", "pooled", ...}}}}`.

    Means and intervals are over cases that have the target (`cases` counts those with a defined
    score); `pooled` sums the pixels of all annotated cases first. `undefined` counts cases with the
    target whose surface distances do not exist because nothing was predicted. `empty` is about cases
    without the target: the mean share of the image wrongly predicted, and in how many all was quiet.
    Intervals are 95 % cluster bootstrap over groups.
    """
    by_target: dict[str, list[CaseScore]] = {}
    for row in rows:
        by_target.setdefault(row.target, []).append(row)
    return {"targets": {name: _summary(found, samples, seed) for name, found in by_target.items()}}


def to_record(row: CaseScore) -> dict[str, Any]:
    """One flat line of cases.csv."""
    record = asdict(row)
    at = record.pop("dice_at")
    return record | {f"dice_at_{threshold:g}": dice for threshold, dice in at.items()}


def _decided(
    prediction: NDArray[Any], cuts: Sequence[float], decision: NDArray[np.bool_] | None, index: int
) -> NDArray[np.bool_]:
    decided: NDArray[np.bool_]
    if decision is not None:
        decided = decision[index]
    elif prediction.dtype == np.bool_:
        decided = prediction[index]
    else:
        decided = prediction[index] >= cuts[index] * (255.0 if prediction.dtype == np.uint8 else 1.0)
    return decided


def _dice_at(prediction: NDArray[Any], truth: NDArray[np.bool_]) -> dict[float, float]:
    curve = dice_at_thresholds(prediction, truth, TABLE_THRESHOLDS)
    return dict(zip(TABLE_THRESHOLDS, map(float, curve.dice), strict=True))


def _mask_scores(mask: NDArray[np.bool_], truth: NDArray[np.bool_], sizes: Sequence[float]) -> dict[str, Any]:
    counts = overlap(mask, truth)
    distances = UNDEFINED
    if counts.truth_pixels and counts.predicted_pixels:
        distances = surface_distances(mask, truth, sizes)
    return {
        **{name: getattr(counts, name) for name in (*OVERLAP_SCORES, "truth_pixels", "predicted_pixels")},
        "hd95": distances.hd95,
        "msd": distances.mean,
        "false_positive_share": float(ratio(counts.fp, truth.size)),
        **asdict(counts),
    }


def _summary(rows: Sequence[CaseScore], samples: int, seed: int) -> dict[str, Any]:
    positive = [row for row in rows if not row.empty]
    summary: dict[str, Any] = {name: _overlap_summary(rows, name, samples, seed) for name in OVERLAP_SCORES}
    for name in SURFACE_SCORES:
        figures = _mean_summary(positive, name, samples, seed)
        undefined = len(positive) - figures["cases"]
        summary[name] = figures | {"undefined": undefined, "unit": _units(rows)}
    summary["dice_at"] = {
        f"{threshold:g}": _mean([row.dice_at[threshold] for row in positive if threshold in row.dice_at])
        for threshold in sorted({threshold for row in rows for threshold in row.dice_at})
    }
    empty = [row for row in rows if row.empty]
    summary["empty"] = {
        "cases": len(empty),
        "false_positive_share": _mean([row.false_positive_share for row in empty]),
        "quiet": sum(row.predicted_pixels == 0 for row in empty),
    }
    cuts = {row.threshold for row in rows}
    summary["threshold"] = cuts.pop() if len(cuts) == 1 else _by_fold(rows)
    summary["groups"] = len({row.group for row in rows})
    return summary


def _by_fold(rows: Sequence[CaseScore]) -> dict[str, float]:
    """The threshold of each fold; where images have their own, the lowest and the highest."""
    if len({(row.fold, row.threshold) for row in rows}) > len({row.fold for row in rows}):
        cuts = [row.threshold for row in rows]
        return {"lowest": min(cuts), "highest": max(cuts)}
    return {str(row.fold): row.threshold for row in rows}


def _overlap_summary(rows: Sequence[CaseScore], name: str, samples: int, seed: int) -> dict[str, Any]:
    positive = [row for row in rows if not row.empty]
    counts = np.array([(row.tp, row.fp, row.fn) for row in rows], np.float64)
    statistic = _POOLED[name]
    return _mean_summary(positive, name, samples, seed) | {
        "pooled": float(statistic(counts.sum(axis=0, keepdims=True))[0]),
        "pooled_interval": list(
            interval_of_totals(counts, [row.group for row in rows], statistic, samples, seed=seed)
        ),
    }


def _mean_summary(rows: Sequence[CaseScore], name: str, samples: int, seed: int) -> dict[str, Any]:
    values = [float(getattr(row, name)) for row in rows]
    return {
        "mean": _mean(values),
        "interval": list(interval(np.array(values), [row.group for row in rows], samples=samples, seed=seed)),
        "cases": sum(not math.isnan(number) for number in values),
    }


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else float("nan")


def _units(rows: Sequence[CaseScore]) -> str:
    """The unit of all rows; where cases differ in unit, all of them, as a warning not to trust the mean."""
    return ", ".join(sorted({row.unit for row in rows}))


_Totals = NDArray[np.float64]
_POOLED: Mapping[str, Callable[[_Totals], _Totals]] = {
    "dice": lambda t: ratio(2 * t[:, 0], 2 * t[:, 0] + t[:, 1] + t[:, 2]),
    "jaccard": lambda t: ratio(t[:, 0], t.sum(axis=1)),
    "precision": lambda t: ratio(t[:, 0], t[:, 0] + t[:, 1]),
    "recall": lambda t: ratio(t[:, 0], t[:, 0] + t[:, 2]),
}
