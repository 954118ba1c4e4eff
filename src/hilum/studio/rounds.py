"""Rounds of training on one study: their runs beside the folder, and which of them is the model in use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import HilumError, RunError
from hilum.files import read_json, write_json
from hilum.study.names import natural
from hilum.training.run import Run

CURRENT = "current.json"
_NAME = re.compile(r"round-(\d+)")


@dataclass(frozen=True)
class Round:
    """A run of the studio: "done" with scores, "stopped" on the way, or "begun" with nothing yet."""

    name: str
    run: Run
    state: str


def default_runs(root: Path) -> Path:
    """Where the runs of a study go: beside its folder, so that no layout takes them for images."""
    root = root.resolve()
    return root.with_name(f"{root.name}-runs")


def all_rounds(runs: Path) -> list[Round]:
    """The rounds so far, in order; runs that the command line made in the same folder too."""
    if not runs.is_dir():
        return []
    found = sorted((path for path in runs.iterdir() if _is_run(path)), key=lambda path: natural(path.name))
    return [Round(path.name, Run(path), state_of(path)) for path in found]


def _is_run(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and (path / "study.json").is_file()


def state_of(folder: Path) -> str:
    """How far a run is: done, stopped or begun."""
    if (folder / "evaluation" / "summary.json").is_file() and (folder / "report.html").is_file():
        return "done"
    return "stopped" if (folder / "manifest.json").is_file() else "begun"


def next_name(runs: Path) -> str:
    """The name of the next round."""
    taken = [int(match[1]) for path in runs.glob("round-*") if (match := _NAME.fullmatch(path.name))]
    return f"round-{max(taken, default=0) + 1}"


def current_run(runs: Path) -> Run | None:
    """The model in use: the one that was chosen, else the first that is done; None without any."""
    done = {one.name: one.run for one in all_rounds(runs) if one.state == "done"}
    path = runs / CURRENT
    if path.is_file():
        try:
            chosen = read_json(path, limit_bytes=10_000)
        except RunError:
            chosen = {}
        if isinstance(chosen, dict) and chosen.get("run") in done:
            return done[chosen["run"]]
    return next(iter(done.values()), None)


def use_run(runs: Path, name: str) -> None:
    """Make a round the model in use. Raises HilumError where it is not done."""
    if name not in {one.name for one in all_rounds(runs) if one.state == "done"}:
        raise HilumError(f"{name}: is no finished round of {runs}")
    write_json(runs / CURRENT, {"run": name})


def case_scores(run: Run | None) -> dict[str, dict[str, float]]:
    """Out-of-fold Dice by case and target that is there; of a classifier 1 or 0 for right or wrong."""
    if run is None:
        return {}
    found: dict[str, dict[str, float]] = {}
    for row in table(run.evaluation / "cases.csv"):
        if "dice" in row and "target" in row:
            if row["dice"] and row.get("truth_pixels") != "0":
                found.setdefault(row["case"], {})[row["target"]] = float(row["dice"])
        elif row.get("correct") and row.get("case"):
            found[row["case"]] = {row["class"]: float(row["correct"] == "True")}
    return found


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file that Hilum wrote; none where it is not there."""
    import csv

    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        return [{str(key): str(value or "") for key, value in row.items()} for row in csv.DictReader(handle)]


def headline(run: Run) -> list[tuple[str, str]]:
    """The scores of a run in a few words: (name, value with its interval)."""
    summary = run.summary()
    lines = [
        (f"Dice {name}", _with_interval(found["dice"], "mean"))
        for name, found in summary.get("targets", {}).items()
        if found.get("dice")
    ]
    lines += [
        (name, _with_interval(summary[key], "value"))
        for key, name in (("auc", "AUC"), ("accuracy", "Accuracy"))
        if isinstance(summary.get(key), dict)
    ]
    if isinstance(summary.get("froc"), dict):
        lines.append(("CPM", _with_interval(summary["froc"]["cpm"], "value")))
    return lines


def _with_interval(found: dict[str, Any], key: str) -> str:
    value, interval = found.get(key), found.get("interval") or (None, None)
    if value is None:
        return "–"
    low, high = interval
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
