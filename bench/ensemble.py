"""What mirrored copies and several networks bring to kept segmentation runs, beside what they cost.

    python bench/ensemble.py RUN [RUN ...]

The runs are cross-validations of one study on the same folds (other seeds, say). Every case is predicted by
the networks that did not see it: once, mirrored as planned, turned by a quarter too, and mirrored by the
networks of all runs together. Prints a row for bench/RESULTS.md a way and appends the figures to
bench/results/ensemble.jsonl. Dice is the mean over cases that have the target, at 0.5 and at each image's own
threshold; CPU seconds are of prediction, a megapixel of the images as they came, preparing them left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.inference.keeping import level_counts
from hilum.inference.predictor import Predictor, enlarged, make_predictor, quantised
from hilum.planning.plan import Plan
from hilum.scoring.overlap import overlap
from hilum.scoring.thresholds import image_threshold
from hilum.study.masks import read_case_image, read_masks
from hilum.study.study import Case
from hilum.training.prepare import prepare_image
from hilum.training.run import Run, load_network, open_run, package_versions, processor_name

RESULTS = Path(__file__).parent / "results" / "ensemble.jsonl"
Predict = Callable[[torch.Tensor], NDArray[np.float32]]


@dataclass
class Way:
    """One way of predicting, and what it came to: CPU seconds, megapixels, Dice of each target's cases."""

    name: str
    networks: int
    spent_s: float
    megapixels: float
    half: dict[str, list[float]]
    own: dict[str, list[float]]


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of evaluated runs")
    arguments.add_argument("--note", default="", help="what should be known of these rows")
    given = arguments.parse_args()
    runs = [open_run(path) for path in given.runs]
    torch.set_num_threads(runs[0].plan.training.threads)
    found: dict[str, Way] = {}
    for fold in runs[0].trained_folds():
        ways = dict(predictors(runs, fold))
        for case in tested(runs, fold):
            predict_case(case, runs[0].plan, ways, found)
    record(runs, list(found.values()), given.note)


def predictors(runs: Sequence[Run], fold: int) -> Iterator[tuple[str, tuple[int, Predict]]]:
    """Ways to predict by the networks of one fold, by name, with how many networks answer."""
    networks = [load_network(run, fold) for run in runs]
    plan = runs[0].plan
    once = plan.model_copy(deep=True)
    once.inference.flips = []
    mirrored = make_predictor(networks[:1], plan)
    yield "predicted once", (1, make_predictor(networks[:1], once).prepared)
    yield "mirrored", (1, mirrored.prepared)
    yield "mirrored and turned", (1, lambda x: turned(mirrored, x))
    for count in range(2, len(networks) + 1):
        yield f"mirrored, {count} networks", (count, make_predictor(networks[:count], plan).prepared)


def turned(predictor: Predictor, x: torch.Tensor) -> NDArray[np.float32]:
    """Probabilities (K, Y, X) of an image (C, Y, X), its quarter turn averaged in."""
    back = np.rot90(predictor.prepared(torch.rot90(x, 1, (-2, -1)).contiguous()), -1, (-2, -1))
    return np.asarray((predictor.prepared(x) + back) / 2)


def tested(runs: Sequence[Run], fold: int) -> list[Case]:
    """The cases of a fold. Raises SystemExit where the runs do not leave out the same ones."""
    names = {tuple(sorted(run.splits.folds[fold].test)) for run in runs}
    if len(names) != 1:
        raise SystemExit(f"fold {fold}: the runs leave out different cases; name runs on the same folds")
    (wanted,) = names
    return [case for case in runs[0].study.cases if case.name in wanted]


def predict_case(case: Case, plan: Plan, ways: dict[str, tuple[int, Predict]], found: dict[str, Way]) -> None:
    """Predict and score one case in every way."""
    image = read_case_image(case)
    x, (truth, known) = prepare_image(image, plan.data), read_masks(case, plan.data.outputs, image.shape)
    for name, (networks, predict) in ways.items():
        way = found.setdefault(name, Way(name, networks, 0.0, 0.0, {}, {}))
        began = time.process_time()
        working = quantised(predict(x))
        full = enlarged(working, image.shape)
        way.spent_s += time.process_time() - began
        way.megapixels += full[0].size / 1e6
        counts = level_counts(working)
        for k, target in enumerate(plan.data.outputs):
            if known[k] and truth[k].any():
                way.half.setdefault(target, []).append(overlap(full[k] >= 128, truth[k]).dice)
                cut = image_threshold(counts[k]) * 255
                way.own.setdefault(target, []).append(overlap(full[k] >= cut, truth[k]).dice)


def record(runs: Sequence[Run], ways: Sequence[Way], note: str) -> None:
    """Append to the results and print a table row a way."""
    RESULTS.parent.mkdir(exist_ok=True)
    trained = [[float(run.history(fold)[-1]["cpu_s"]) for fold in run.trained_folds()] for run in runs]
    for way in ways:
        row = {
            "date": datetime.now().isoformat(timespec="seconds"),
            "study": runs[0].study.root.name,
            "way": way.name,
            "training_cpu_s_a_fold": float(np.mean(np.sum(trained[: way.networks], axis=0))),
            "cpu_s_a_megapixel": way.spent_s / way.megapixels,
            "dice": {name: float(np.mean(values)) for name, values in way.half.items()},
            "dice_own_threshold": {name: float(np.mean(values)) for name, values in way.own.items()},
            "cases": {name: len(values) for name, values in way.half.items()},
            "processor": processor_name(),
            "versions": package_versions(),
            "note": note,
        }
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        scores = " | ".join(
            f"{name} {np.mean(half):.4f} (own threshold {np.mean(way.own[name]):.4f})"
            for name, half in way.half.items()
        )
        spent, cost = row["training_cpu_s_a_fold"], row["cpu_s_a_megapixel"]
        print(f"| {way.name} | {spent:.0f} | {cost:.3f} | {scores} |")


if __name__ == "__main__":
    main()
