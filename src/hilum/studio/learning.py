"""Would more images help? Trainings on parts of the images, scored on the same cases, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import HilumError, RunError
from hilum.files import read_json, write_json
from hilum.scoring.bootstrap import interval
from hilum.studio.rounds import case_scores
from hilum.study.splits import Fold, Splits, write_splits
from hilum.study.study import Study

SHARES = (0.25, 0.5, 1.0)
FEWEST = 4
CURVE = "curve.json"
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Point:
    """Trained on so many images: mean score of the held-out cases, with its interval over groups."""

    images: float
    score: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """Points from few images to all, and what the last doubling brought, with its interval."""

    points: tuple[Point, ...]
    gain: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Whether more images would help, in a sentence."""
        low, high = self.interval
        span = f"{self.gain:+.3f}" + (f" [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else "")
        if np.isfinite(low) and low > 0.002:
            return f"More images would help: twice as many brought {span}."
        if np.isfinite(high) and high < 0.01:
            return f"More images of this kind would hardly help: twice as many brought {span}."
        return f"Not clear: twice as many images brought {span}. More images would narrow this down."


def nested_splits(splits: Splits, study: Study, share: float, seed: int = 0) -> Splits:
    """The folds with a share of the groups of each training set; smaller shares lie within larger ones."""
    group = {case.name: case.group for case in study.cases}
    order = np.random.default_rng(seed).permutation(sorted({*group.values()})).tolist()
    folds = []
    for fold in splits.folds:
        groups = [one for one in order if any(group[name] == one for name in fold.train)]
        kept = set(groups[: max(1, round(share * len(groups)))])
        folds.append(Fold(tuple(name for name in fold.train if group[name] in kept), fold.test))
    return replace(splits, folds=tuple(folds), reason=f"{share:.0%} of the groups of each training set")


def measure_curve(
    folder: Path,
    out: Path,
    minutes: float | None,
    steps: int | None,
    told: Told | None = None,
    settings: Sequence[str] = (),
) -> Curve:
    """Train on a quarter, a half and all of the images, on the same folds; write OUT/curve.json.

    `minutes` are for all trainings together. Raises HilumError where there are fewer than four groups.
    """
    from hilum.planning.planner import Wishes
    from hilum.study.open import open_study
    from hilum.verbs.folding import plan_folds
    from hilum.verbs.train import train

    study = open_study(folder)
    if len(study.groups) < FEWEST:
        raise HilumError(
            f"a learning curve needs {FEWEST} groups (patients, animals, slides) or more; there are "
            f"{len(study.groups)}"
        )
    splits = plan_folds(study, Wishes(folds=2))
    scores: list[tuple[float, dict[str, float]]] = []
    for at, share in enumerate(SHARES):
        part = nested_splits(splits, study, share)
        path = out / f"splits-{share:g}.json"
        write_splits(path, part)
        each = None if minutes is None else minutes / len(SHARES)
        run = train(
            folder, out / f"share-{share:g}", minutes=each, steps=steps, splits=path, settings=settings
        )
        images = float(np.mean([len(fold.train) for fold in part.folds]))
        found = {name: float(np.mean(list(of.values()))) for name, of in case_scores(run).items()}
        scores.append((images, found))
        if told:
            told(at + 1, len(SHARES))
    curve = curve_of(scores, {case.name: case.group for case in study.cases})
    write_json(out / CURVE, _plain(curve))
    return curve


def curve_of(scores: Sequence[tuple[float, Mapping[str, float]]], groups: Mapping[str, str]) -> Curve:
    """A curve from scores of the same cases at rising numbers of images; the gain is that of one doubling."""
    shared = sorted(set.intersection(*(set(found) for _, found in scores)))
    if not shared:
        raise HilumError("no case was scored at every size: there is no curve")
    names = [groups[name] for name in shared]
    points = tuple(
        Point(
            images,
            float(np.mean([found[name] for name in shared])),
            interval([found[name] for name in shared], names),
        )
        for images, found in scores
    )
    (few, before), (many, after) = scores[-2:]
    doublings = max(np.log2(many / few), 1e-9) if few and many > few else 1.0
    gains = [(after[name] - before[name]) / doublings for name in shared]
    return Curve(points, float(np.mean(gains)), interval(gains, names))


def _plain(curve: Curve) -> dict[str, Any]:
    points = [{"images": p.images, "score": p.score, "interval": list(p.interval)} for p in curve.points]
    return {"points": points, "gain": curve.gain, "interval": list(curve.interval), "verdict": curve.verdict}


def read_curve(out: Path) -> dict[str, Any]:
    """The last curve, as it was written; empty where there is none."""
    try:
        found = read_json(out / CURVE)
    except RunError:
        return {}
    return found if isinstance(found, dict) else {}
