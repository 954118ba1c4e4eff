"""Grouped 4-fold cross-validation on the lung sections at a budget of CPU seconds a fold.

    python bench/lung_flu.py [--cpu 150] [--seeds 0] [--set KEY=VALUE ...] [--keep FOLDER [--again]]

Reads `HILUM_DATA` (default ../shared/data). Prints a row for bench/RESULTS.md and appends the figures to
bench/results/lung_flu.jsonl. Runs are kept as FOLDER/CPU-SEED where a folder is named; `--again` scores
kept runs as the code decides now, without training. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from pathlib import Path

import hilum
from hilum.training.run import Run, open_run, processor_name


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--cpu", type=float, default=150.0, help="CPU seconds of training a fold")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE")
    arguments.add_argument("--keep", type=Path, help="folder that the runs are kept in")
    arguments.add_argument("--again", action="store_true", help="score kept runs again, without training")
    given = arguments.parse_args()
    data = Path(os.environ.get("HILUM_DATA", "../shared/data")) / "lung_flu"
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            out = (given.keep or Path(folder)) / f"{given.cpu:g}-{seed}"
            settings = [f"training.cpu_s={given.cpu}", f"training.seed={seed}", *given.settings]
            if given.again:
                hilum.evaluate(out)
                run = open_run(out)
            else:
                run = hilum.train(data, out, splits=data / "splits.json", settings=settings)
            record(figures(run, given.cpu, seed, given.settings))


def figures(run: Run, budget: float, seed: int, settings: list[str]) -> dict[str, object]:
    """What is recorded of one cross-validation."""
    targets = run.summary()["targets"]
    spent = [float(run.history(index)[-1]["cpu_s"]) for index in run.trained_folds()]
    with (run.evaluation / "cases.csv").open(encoding="utf-8") as file:
        cases = {
            f"{row['case']} {row['target']}": float(row["dice"] or "nan") for row in csv.DictReader(file)
        }
    return {
        "budget_cpu_s": budget,
        "seed": seed,
        "settings": settings,
        "cpu_s": spent,
        "steps": run.plan.training.steps,
        "wall_s": run.manifest["wall_s"],
        "processor": processor_name(),
        "versions": run.manifest["versions"],
        "dice": {
            name: {key: found["dice"][key] for key in ("mean", "pooled", "cases")}
            for name, found in targets.items()
        },
        "fitted": {name: found.get("fitted") for name, found in targets.items()},
        "cases": cases,
    }


def record(found: dict[str, object]) -> None:
    """Append to the results and print a table row."""
    path = Path(__file__).parent / "results" / "lung_flu.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    dice = found["dice"]
    assert isinstance(dice, dict)
    scores = " | ".join(
        f"{name} {each['mean']:.3f} (pooled {each['pooled']:.3f})" for name, each in dice.items()
    )
    spent = found["cpu_s"]
    assert isinstance(spent, list)
    print(f"| {found['budget_cpu_s']} | {max(spent):.0f} | {found['steps']} | {found['seed']} | {scores} |")


if __name__ == "__main__":
    main()
