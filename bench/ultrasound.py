"""Five-fold cross-validation on real ultrasound at a budget of CPU seconds a fold, planned or by a recipe.

    python bench/ultrasound.py us_nerve RUN [--cpu 600] [--recipe ultrasound-nerve-2016] [--folds 0 1 2 3 4]

Reads `HILUM_DATA` (default ../shared/data). `RUN` is kept, so that folds can be trained one at a time; with
all folds there, prints a row for bench/RESULTS.md and appends the figures to bench/results/ultrasound.jsonl.
Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path
from typing import Any

import hilum
from hilum.training.run import Run, processor_name

FOLDERS = {"us_nerve": "us_nerve/train", "us_regional": "us_regional"}


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("study", choices=sorted(FOLDERS))
    arguments.add_argument("run", type=Path, help="folder of the run, kept")
    arguments.add_argument("--cpu", type=float, default=600.0, help="CPU seconds of training a fold")
    arguments.add_argument("--recipe")
    arguments.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE")
    given = arguments.parse_args()
    data = Path(os.environ.get("HILUM_DATA", "../shared/data")) / FOLDERS[given.study]
    settings = [f"training.cpu_s={given.cpu}", *given.settings]
    for fold in given.folds:
        there = (given.run / "manifest.json").is_file()
        run = hilum.train(
            data, given.run, folds=5, fold=fold, recipe=given.recipe, settings=settings, resume=there
        )
    record(figures(run, given.study, given.cpu, given.recipe or "planned", given.settings))


def figures(run: Run, study: str, budget: float, recipe: str, settings: list[str]) -> dict[str, Any]:
    """What is recorded of one cross-validation."""
    with (run.evaluation / "cases.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    by_fold: dict[str, dict[str, float]] = {}
    for target, found in run.summary()["targets"].items():
        for index in run.trained_folds():
            dice = [
                float(row["dice"])
                for row in rows
                if row["target"] == target and row["fold"] == str(index) and int(row["truth_pixels"])
            ]
            by_fold.setdefault(target, {})[str(index)] = sum(dice) / max(1, len(dice))
        by_fold[target]["all"] = found["dice"]["mean"]
    return {
        "study": study,
        "recipe": recipe,
        "budget_cpu_s": budget,
        "settings": settings,
        "cpu_s": [float(run.history(index)[-1]["cpu_s"]) for index in run.trained_folds()],
        "steps": run.plan.training.steps,
        "processor": processor_name(),
        "dice": {
            name: {key: found["dice"][key] for key in ("mean", "interval", "pooled", "cases")}
            for name, found in run.summary()["targets"].items()
        },
        "dice_by_fold": by_fold,
        "fitted": {name: found.get("fitted") for name, found in run.summary()["targets"].items()},
        "presence": {name: found.get("presence") for name, found in run.summary()["targets"].items()},
    }


def record(found: dict[str, Any]) -> None:
    """Print a row and, with all five folds, append the figures."""
    cells = [
        f"{name} {dice['mean']:.4f} [{dice['interval'][0]:.3f}, {dice['interval'][1]:.3f}] ({dice['cases']})"
        for name, dice in found["dice"].items()
    ]
    spent = ", ".join(f"{value:.0f}" for value in found["cpu_s"])
    print(f"| {found['study']} | {found['recipe']} | {spent} | {found['steps']} | {'; '.join(cells)} |")
    if len(found["cpu_s"]) == 5:
        target = Path(__file__).parent / "results" / "ultrasound.jsonl"
        target.parent.mkdir(exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
