"""Hilum in the same harness: one training a budget, because its schedule follows the budget.

Masks are decided at 0.5: thresholds are fitted on other folds, of which a fold alone has none.
"""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
from job import Meter, read_job, tree_cpu_s

import hilum
from hilum.image.image import Image
from hilum.inference.predictor import Predictor, enlarged, make_predictor, quantised
from hilum.training.run import Run, load_network


def main() -> None:
    """`hilum train FOLDER --splits FILE --fold I --set training.cpu_s=BUDGET` for each budget."""
    job = read_job()
    job.begin(["hilum", "torch", "monai"], schedule="one training a budget")
    content = job.content
    for budget in job.budgets:
        began, folder = tree_cpu_s(), job.out / f"run-{budget:g}"
        shutil.rmtree(folder, ignore_errors=True)
        settings = [f"training.cpu_s={budget}", f"training.seed={job.seed}", *job.options.set]
        run = hilum.train(
            content["study"], folder, splits=content["splits"], fold=content["fold"], settings=settings
        )
        spent = float(run.history(content["fold"])[-1]["cpu_s"])
        besides = tree_cpu_s() - began - spent
        checkpoint(job, run, budget, spent, besides)


def checkpoint(job: Any, run: Run, budget: float, spent: float, besides: float) -> None:
    """Predict the test cases from arrays in memory, as the peers do."""
    fold, plan = job.content["fold"], run.plan
    predictor = make_predictor([load_network(run, fold)], plan)
    steps = int(float(run.history(fold)[-1]["step"]))
    facts: dict[str, Any] = {"planning_and_scoring_cpu_s": besides, "settings": job.options.set}
    facts |= {"patch": list(plan.training.patch), "batch": plan.training.batch}
    facts |= {"downsample": plan.data.downsample, "wall_s": float(run.history(fold)[-1]["seconds"])}
    worked = steps * plan.training.batch * float(np.prod(plan.training.patch)) * plan.data.downsample**2
    worked *= float(np.mean(plan.training.stages))  # a coarse step covers so many times the area
    job.checkpoint(
        Spent(spent),
        budget,
        steps,
        worked,
        lambda array: predict(predictor, array),
        **facts,
    )


class Spent(Meter):
    """A meter that shows what the run's own history says."""

    def __init__(self, cpu_s: float) -> None:
        super().__init__()
        self._spent = cpu_s

    def cpu_s(self) -> float:
        """CPU seconds of the training loop."""
        return self._spent


def predict(predictor: Predictor, array: Any) -> Any:
    """Masks (T, Y, X) at full resolution."""
    return enlarged(quantised(predictor.image(Image(array))), array.shape[1:]) >= 128


if __name__ == "__main__":
    main()
