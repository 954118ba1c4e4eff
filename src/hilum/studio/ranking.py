"""Which image to annotate next: where the model is unsure, and which looks unlike what is annotated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.files import write_rows
from hilum.studio.layers import NEXT
from hilum.studio.rounds import table
from hilum.studio.view import View, look
from hilum.study.study import Case

RANKING = "ranking.csv"
LOOKED_AT = 200
Told = Callable[[int, int], None]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """An image without annotation: its place; uncertainty and difference, 0 to 1; why it is there."""

    place: int
    case: str
    uncertainty: float
    difference: float
    reason: str


def unannotated(view: View) -> list[Case]:
    """Images that have no mask and no label yet."""
    return [case for case in view.cases if not case.masks and not any(v == 1 for v in case.labels.values())]


def ranked(
    names: Sequence[str],
    uncertainty: Mapping[str, float],
    features: Mapping[str, Vector],
    known: Mapping[str, Vector],
    unsure_of: Mapping[str, str] | None = None,
) -> list[Ranked]:
    """Images in the order in which they teach most, one after the other.

    Uncertainty and difference (distance of the features to the nearest annotated or already chosen image) are
    each brought to 0..1 by their rank and added up; choosing one by one keeps two that are alike from both
    coming first (after core-set selection, Sener and Savarese 2018).
    """
    scale = _scale([*known.values(), *(features[name] for name in names)])
    distance = {name: _nearest(features[name], known, scale) for name in names}
    unsure = _by_rank({name: uncertainty[name] for name in names})
    first = _by_rank({name: away for name, (away, _) in distance.items()})
    nearest = {name: near for name, (_, near) in distance.items()}
    left, result = list(names), list[Ranked]()
    current = {name: away for name, (away, _) in distance.items()}
    while left:
        unlike = _by_rank({name: current[name] for name in left})
        best = max(left, key=lambda name: unsure[name] + unlike[name])
        left.remove(best)
        reason = _reason(best, unsure[best], first[best], uncertainty[best], nearest[best], unsure_of or {})
        result.append(Ranked(len(result) + 1, best, float(uncertainty[best]), first[best], reason))
        for name in left:
            current[name] = min(current[name], _away(features[name], features[best], scale))
    return result


def _scale(vectors: Sequence[Vector]) -> Vector:
    spread = np.std(np.stack(vectors), axis=0) if vectors else np.ones(1)
    return np.where(spread > 1e-9, spread, 1.0)


def _away(one: Vector, other: Vector, scale: Vector) -> float:
    return float(np.sqrt(np.mean(((one - other) / scale) ** 2)))


def _nearest(one: Vector, known: Mapping[str, Vector], scale: Vector) -> tuple[float, str]:
    if not known:
        return 0.0, ""
    return min((_away(one, other, scale), name) for name, other in known.items())


def _by_rank(values: Mapping[str, float]) -> dict[str, float]:
    """Values as 0 to 1 by their rank, equal ones alike."""
    from scipy.stats import rankdata

    if len(values) < 2:
        return dict.fromkeys(values, 1.0)
    ranks = (rankdata(list(values.values())) - 1) / (len(values) - 1)
    return dict(zip(values, map(float, ranks), strict=True))


def _reason(
    name: str, unsure: float, unlike: float, value: float, near: str, unsure_of: Mapping[str, str]
) -> str:
    """Why an image is where it is, in words."""
    words = []
    if unsure >= 0.5:
        of = f" of {unsure_of[name]}" if name in unsure_of else ""
        words.append(f"the model is unsure{of} ({value:.2f})")
    if unlike >= 0.5:
        words.append("it looks unlike what is annotated" + (f" (nearest is {near})" if near else ""))
    if not words:
        words.append(
            f"the model is fairly sure, and it resembles {near}" if near else "the model is fairly sure"
        )
    return " and ".join(words)


def rank_folder(folder: Path, run_folder: Path, told: Told | None = None) -> list[Ranked]:
    """Predict every image without annotation by a run, rank them, and write RUN/next/ranking.csv.

    Probabilities are kept in RUN/next/probabilities. Raises HilumError where all images are annotated.
    """
    from hilum import tasks
    from hilum.explanation.uncertainty import uncertainty
    from hilum.inference.keeping import keep
    from hilum.study.masks import read_case_image
    from hilum.training.run import open_run
    from hilum.verbs.predict import load_predictor

    view, run = look(folder), open_run(run_folder)
    todo = unannotated(view)
    if not todo:
        raise HilumError("every image is annotated: there is none to choose from; add some")
    known = [case for case in view.cases if case not in todo][:LOOKED_AT]
    predictor, task = load_predictor(run), tasks.get_task(run.plan.task)
    names = run.plan.data.outputs
    features: dict[str, Vector] = {}
    unsure: dict[str, float] = {}
    unsure_of: dict[str, str] = {}
    for at, case in enumerate([*todo, *known]):
        x = task.prepare(read_case_image(case), predictor.plan)
        features[case.name] = _features(predictor.networks[0], x)
        if at < len(todo):
            sure = uncertainty(predictor.networks, x, predictor.plan)
            keep(run.folder / NEXT / "probabilities", case.name, sure.probability)
            unsure[case.name] = sure.score
            unsure_of[case.name] = names[int(np.argmax(sure.scores))]
        if told:
            told(at + 1, len(todo) + len(known))
    order = ranked(
        [case.name for case in todo],
        unsure,
        features,
        {case.name: features[case.name] for case in known},
        unsure_of,
    )
    _write(run.folder / NEXT / RANKING, order)
    return order


def _features(network: object, x: object) -> Vector:
    """What the deepest layer makes of an image: mean and spread of its channels."""
    from torch import Tensor, nn

    from hilum.explanation.features import feature_maps
    from hilum.models.features import feature_layers

    if not isinstance(network, nn.Module) or not isinstance(x, Tensor):
        raise TypeError("a network and a prepared image are needed")
    flat = x if x.ndim == 3 or _deep(network) else x[:, x.shape[1] // 2]
    maps = feature_maps(network, flat, feature_layers(network), limit=10_000)
    chosen = min(maps, key=lambda one: one.maps[0].size).maps
    values = chosen.reshape(len(chosen), -1).astype(np.float64)
    return np.concatenate([values.mean(1), values.std(1)])


def _deep(network: object) -> bool:
    from torch import nn

    return isinstance(network, nn.Module) and any(isinstance(part, nn.Conv3d) for part in network.modules())


def _write(path: Path, order: Sequence[Ranked]) -> None:
    rows = [{**asdict(one), "uncertainty": f"{one.uncertainty:.4f}"} for one in order]
    write_rows(path, rows, list(Ranked.__dataclass_fields__))


def read_ranking(run_folder: Path) -> list[Ranked]:
    """The ranking of a run, as it was written; nothing where there is none."""
    return [
        Ranked(int(r["place"]), r["case"], float(r["uncertainty"]), float(r["difference"]), r["reason"])
        for r in table(run_folder / NEXT / RANKING)
    ]
