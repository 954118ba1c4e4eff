"""Hilum in the same harness: one training a budget, because its schedule follows the budget.

Masks are decided as a run of one fold does it, by each image's own threshold, for which nothing is fitted;
and once more at 0.5, as the variant "half".
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from job import Meter, read_job, tree_cpu_s

import hilum
from hilum.image.image import Image
from hilum.inference.keeping import level_counts
from hilum.inference.predictor import Predictor, enlarged, make_predictor, quantised
from hilum.scoring.thresholds import Cut
from hilum.tasks.mask_decisions import cuts_of, final_thresholds
from hilum.training.run import Run, load_network, open_run


def main() -> None:
    """`hilum train FOLDER --splits FILE --fold I --set training.cpu_s=BUDGET` for each budget."""
    job = read_job("again")
    job.begin(["hilum", "torch", "monai"], schedule="one training a budget")
    content = job.content
    for budget in job.budgets:
        folder = job.out / f"run-{budget:g}"
        if job.options.again:
            hilum.evaluate(folder)
            checkpoint(job, open_run(folder), budget, None)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        settings = [f"training.cpu_s={budget}", f"training.seed={job.seed}", *job.options.set]
        began = tree_cpu_s()
        run = hilum.train(
            content["study"], folder, splits=content["splits"], fold=content["fold"], settings=settings
        )
        checkpoint(job, run, budget, tree_cpu_s() - began)


def checkpoint(job: Any, run: Run, budget: float, took: float | None) -> None:
    """Predict the test cases from arrays in memory, as the peers do, in both ways.

    `took` are the CPU seconds of the whole verb, where it was run.
    """
    fold, plan = job.content["fold"], run.plan
    spent = float(run.history(fold)[-1]["cpu_s"])
    predictor = make_predictor([load_network(run, fold)], plan)
    steps = int(float(run.history(fold)[-1]["step"]))
    facts: dict[str, Any] = {"settings": job.options.set}
    facts |= {} if took is None else {"planning_and_scoring_cpu_s": took - spent}
    facts |= {"patch": list(plan.training.patch), "batch": plan.training.batch}
    facts |= {"downsample": plan.data.downsample, "wall_s": float(run.history(fold)[-1]["seconds"])}
    worked = steps * plan.training.batch * float(np.prod(plan.training.patch)) * plan.data.downsample**2
    worked *= float(np.mean(plan.training.stages))  # a coarse step covers so many times the area
    for variant, cuts in (("", final_thresholds(run)), ("half", [0.5] * len(plan.data.outputs))):
        predicting = partial(predict, predictor, cuts)
        job.checkpoint(Spent(spent), budget, steps, worked, predicting, variant, **facts)


class Spent(Meter):
    """A meter that shows what the run's own history says."""

    def __init__(self, cpu_s: float) -> None:
        super().__init__()
        self._spent = cpu_s

    def cpu_s(self) -> float:
        """CPU seconds of the training loop."""
        return self._spent


def predict(predictor: Predictor, cuts: Sequence[Cut], array: Any) -> Any:
    """Masks (T, Y, X) at full resolution."""
    working = quantised(predictor.image(Image(array)))
    numbers = cuts_of(cuts, partial(level_counts, working))
    return enlarged(working, array.shape[1:]) >= 255 * np.reshape(numbers, (-1, 1, 1))


if __name__ == "__main__":
    main()
