"""The Dice to expect of each mask: learnt out of fold from probabilities, told for new images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import RunError
from hilum.files import read_json, write_json
from hilum.scoring.quality import Foretold, QualityFit, expected_dice, fit_quality, read_quality
from hilum.scoring.segmentation import CaseScore
from hilum.training.run import Run

QUALITY = "quality.json"
Key = tuple[str, str]
Row = dict[str, Any]


def expected_dices(
    case: str, masks: Mapping[str, NDArray[np.bool_]], probability: NDArray[np.uint8]
) -> dict[Key, float]:
    """The expected Dice of each mask of a case, by (case, target); probabilities (K, *S) are 0 to 255."""
    return {
        (case, target): expected_dice(probability[k], mask, full=255)
        for k, (target, mask) in enumerate(masks.items())
    }


def fit_masks(
    scores: Sequence[CaseScore], expected: Mapping[Key, float]
) -> tuple[dict[str, QualityFit], dict[Key, Foretold]]:
    """Learn the quality of each target's masks; what is foretold of each case by the other folds."""
    fits: dict[str, QualityFit] = {}
    told: dict[Key, Foretold] = {}
    for target in dict.fromkeys(score.target for score in scores):
        own = [score for score in scores if score.target == target]
        usable = [one for one in own if not math.isnan(expected[one.case, target])]
        values = [expected[one.case, target] for one in usable]
        real = [0.0 if one.empty else one.dice for one in usable]
        found = fit_quality(values, real, _parts(usable))
        if found is None:
            continue
        fit, dice = found
        fits[target] = fit
        told |= {(one.case, target): fit.foretell(expected[one.case, target]) for one in own}
        told |= {(one.case, target): fit.judged(value) for one, value in zip(usable, dice, strict=True)}
    return fits, told


def _parts(scores: Sequence[CaseScore]) -> list[int]:
    """Which cases are foretold together by the others: those of a fold, of a single fold those of a group."""
    folds = [0 if one.fold is None else one.fold for one in scores]
    if len(set(folds)) > 1:
        return folds
    groups = list(dict.fromkeys(one.group for one in scores))
    return [groups.index(one.group) for one in scores]


def write_quality(run: Run, fits: Mapping[str, QualityFit]) -> None:
    """Keep what is to be told of new images."""
    write_json(run.evaluation / QUALITY, {target: fit.to_json() for target, fit in fits.items()})


def final_quality(run: Run) -> dict[str, QualityFit]:
    """What a run has learnt of the quality of its masks; nothing of runs that had too few cases.

    Raises RunError where the file is damaged.
    """
    path = run.evaluation / QUALITY
    if not path.is_file():
        return {}
    try:
        return {str(target): read_quality(found) for target, found in read_json(path).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: is not what hilum evaluate writes ({error}); run it again") from error


def foretold(fits: Mapping[str, QualityFit], expected: Mapping[Key, float]) -> dict[Key, Foretold]:
    """What is foretold of the masks of new images."""
    return {
        (case, target): fits[target].foretell(value)
        for (case, target), value in expected.items()
        if target in fits
    }


def add_quality(rows: Sequence[Row], told: Mapping[Key, Foretold]) -> None:
    """Put `predicted_dice`, its `predicted_dice_error` and `quality` into rows of measurements."""
    for row in rows:
        if one := told.get((str(row["case"]), str(row["target"]))):
            row.update({"predicted_dice": one.dice, "predicted_dice_error": one.error, "quality": one.word})
