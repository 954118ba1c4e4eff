"""Chest X-rays: PneumoniaMNIST on its official split (several seeds), and cxr_224 with patients regrouped.

    python bench/xray.py [--minutes 5 | --cpu 600] [--seeds 0 1 2] [--study cxr_224] [--set KEY=VALUE ...]

Reads `HILUM_DATA` (default ../shared/data). Prints a row for bench/RESULTS.md and appends the figures to
bench/results/xray.jsonl. Run it on an otherwise idle machine; `--cpu` counts CPU seconds of training a fold.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import hilum
from hilum.training.run import Run, processor_name

PUBLISHED = (
    "MedMNIST v2: ResNet-18 28 px 0.944 / 0.854, ResNet-50 224 px 0.962 / 0.884, AutoKeras 0.947 / 0.878, "
    "AutoML 0.991 / 0.946"
)
SCORES = ("auc", "accuracy", "balanced_accuracy", "recall", "specificity", "brier", "ece")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="wall time of the whole command")
    parser.add_argument("--cpu", type=float, help="CPU seconds of training a fold, instead of minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--study", default="pneumoniamnist", choices=["pneumoniamnist", "cxr_224"])
    parser.add_argument("--set", nargs="*", default=[], dest="settings", metavar="KEY=VALUE")
    given = parser.parse_args()
    data = Path(os.environ.get("HILUM_DATA", "../shared/data")) / given.study
    found = []
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            budget = [f"training.cpu_s={given.cpu}"] if given.cpu else []
            settings = [*budget, f"training.seed={seed}", *given.settings]
            run = hilum.train(data, Path(folder) / "run", minutes=given.minutes, settings=settings)
            found.append(figures(run, given.study, seed, given.settings))
            record(found[-1])
    scores = " | ".join(f"{mean(one[key] for one in found):.4f}" for key in ("auc", "accuracy"))
    print(f"| {given.study}, mean of {len(found)} seeds | {scores} |")
    if given.study == "pneumoniamnist":
        print(f"published AUC / accuracy, {PUBLISHED}")


def figures(run: Run, study: str, seed: int, settings: list[str]) -> dict[str, Any]:
    """What is recorded of one run."""
    summary = run.summary()
    return {
        "study": study,
        "seed": seed,
        "settings": settings,
        "steps": run.plan.training.steps,
        "cpu_s": [float(run.history(index)[-1].get("cpu_s", "nan")) for index in run.trained_folds()],
        "wall_s": run.manifest["wall_s"],
        "processor": processor_name(),
        "versions": run.manifest["versions"],
        **{key: summary[key]["value"] for key in SCORES},
        "interval": summary["auc"]["interval"],
        "cases": summary["auc"]["cases"],
        "operating_point": summary["operating_point"],
        "validation": {key: score["value"] for key, score in summary.get("validation", {}).items()},
    }


def record(row: dict[str, object]) -> None:
    """Print a row and append it to bench/results/xray.jsonl."""
    print(
        f"| {row['study']} | seed {row['seed']} | {row['steps']} steps | {row['wall_s']} s | "
        f"AUC {row['auc']:.4f} | accuracy {row['accuracy']:.4f} |",
        flush=True,
    )
    path = Path(__file__).with_name("results") / "xray.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
