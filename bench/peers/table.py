"""The tables of bench/results/peers.jsonl, and the curves of Dice against CPU seconds as a picture.

    python bench/peers/table.py [--data lung_flu] [--picture bench/results/peers.png]

Of rows of one peer, data, fold, budget, seed and variant the newest counts; seeds are averaged. The second
table holds means over the folds 0 and 1, where a peer was run on both.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

RESULTS = Path(__file__).parent.parent / "results"
HEAD = (
    "| peer | version | data | fold, seeds | budget, CPU s | spent | steps | mean Dice (pooled) "
    "| training Mpx a CPU s | prediction Mpx a CPU s | memory, GB |"
)
FOLDS = (0, 1)  # those that every peer was run on
COLOURS = {
    "hilum": "#0b6e4f",
    "monai": "#c8553d",
    "biapy": "#588bae",
    "nnunet-256": "#8f6bb3",
    "nnunet": "#4a3b6b",
    "keras": "#b08900",
    "forest": "#7a7a7a",
}


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", help="one data set alone")
    arguments.add_argument("--picture", type=Path, default=RESULTS / "peers.png")
    given = arguments.parse_args()
    rows = [row for row in newest(read()) if given.data in (None, row["data"])]
    print(HEAD)
    print("|---" * (HEAD.count("|") - 1) + "|")
    for group in grouped(rows):
        print(line(group))
    print()
    print("\n".join(over_folds(rows)))
    draw(rows, given.picture)


def read() -> list[dict[str, Any]]:
    """All rows that were recorded, but for smoke tests."""
    text = (RESULTS / "peers.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(one) for one in text.splitlines() if one]
    return [row for row in rows if row.get("note") != "smoke"]


def newest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest of equal runs; what it does not know (memory, when predicted again) stays as it was."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = [row[name] for name in ("peer", "data", "fold", "seed", "budget_cpu_s", "variant", "threads")]
        same = (*key, *row.get("settings", []))
        known = {name: value for name, value in row.items() if value is not None}
        found[same] = {"peak_bytes": None, **found.get(same, {}), **known}
    return list(found.values())


def grouped(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows that differ in their seed alone, by data, fold, peer and budget."""
    groups = defaultdict(list)
    for row in rows:
        named = (row["data"], row["fold"], row["peer"], row["variant"], tuple(row.get("settings", [])))
        groups[(*named, row["threads"], row["budget_cpu_s"])].append(row)
    return [groups[key] for key in sorted(groups, key=str_numbers)]


def str_numbers(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key that sorts budgets as numbers."""
    return (*map(str, key[:-1]), key[-1])


def line(rows: list[dict[str, Any]]) -> str:
    """A row of the table: means over seeds."""
    first = rows[0]
    name = " ".join([first["peer"], first["variant"], *first.get("settings", [])]).strip()
    version = next(iter(first["versions"].values()))
    runs = f"{first['fold']}, {sorted({r['seed'] for r in rows})}"
    scores = "; ".join(
        f"{target} {mean(rows, target, 'mean'):.3f} ({mean(rows, target, 'pooled'):.3f})"
        for target in first["dice"]
    )
    numbers = [f"{average(rows, 'cpu_s'):.0f}", f"{average(rows, 'steps'):.0f}", scores]
    numbers += [f"{average(rows, key):.3f}" for key in ("train_mpx_per_cpu_s", "predict_mpx_per_cpu_s")]
    peaks = [row["peak_bytes"] / 1e9 for row in rows if row["peak_bytes"] is not None]
    numbers.append(f"{max(peaks):.1f}" if peaks else "")
    cells = [name, version, first["data"], runs, f"{first['budget_cpu_s']:g}", *numbers]
    return f"| {' | '.join(cells)} |"


def over_folds(rows: list[dict[str, Any]]) -> list[str]:
    """A table of mean Dice over the folds 0 and 1: a row a peer and budget, a column a target."""
    found: dict[tuple[str, float], dict[str, dict[int, float]]] = {}
    for group in grouped(rows):
        first = group[0]
        if first.get("settings") or first["variant"] not in ("", "half") or first["fold"] not in FOLDS:
            continue
        name = f"{first['peer']} {first['variant']}".strip()
        scores = found.setdefault((name, first["budget_cpu_s"]), {})
        for target in first["dice"]:
            column = scores.setdefault(f"{first['data']}: {target}", {})
            column[first["fold"]] = mean(group, target, "mean")
    columns = sorted({column for scores in found.values() for column in scores})
    lines = [f"| peer | budget, CPU s | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for (name, budget), scores in sorted(found.items()):
        folds = [list(scores.get(column, {}).values()) for column in columns]
        cells = [f"{np.mean(values):.3f}" if len(values) == len(FOLDS) else "-" for values in folds]
        lines.append(f"| {name} | {budget:g} | {' | '.join(cells)} |")
    return lines


def mean(rows: list[dict[str, Any]], target: str, kind: str) -> float:
    """Mean Dice of a target over seeds."""
    return float(np.nanmean([row["dice"][target][kind] for row in rows]))


def average(rows: list[dict[str, Any]], key: str) -> float:
    """Mean of a figure."""
    return float(np.mean([row[key] for row in rows]))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel for each target of each fold of a data set, a line for each peer."""
    plain = [group for group in grouped(rows) if not group[0]["variant"]]
    panels = sorted({(*fold_of(group), target) for group in plain for target in group[0]["dice"]})
    if not panels:
        return
    columns = min(2, len(panels))
    rows_of_panels = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows_of_panels,
        columns,
        figsize=(5.2 * columns, 3.9 * rows_of_panels),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (data, fold, target) in zip(axes.flat, panels, strict=False):
        panel(axis, [group for group in plain if fold_of(group) == (data, fold)], target)
        axis.set_title(f"{data}, fold {fold}: {target}", loc="left", fontsize=11)
    known = {
        name: line for axis in axes.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    names = sorted(known)
    figure.legend([known[name] for name in names], names, frameon=False, loc="outside right center")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=130)


def fold_of(group: list[dict[str, Any]]) -> tuple[str, int]:
    """Data set and fold of rows that differ in their seed alone."""
    return group[0]["data"], group[0]["fold"]


def panel(axis: Any, groups: list[list[dict[str, Any]]], target: str) -> None:
    """Dice of one target against CPU seconds spent."""
    lines = defaultdict(list)
    for group in groups:
        if target in group[0]["dice"]:
            label = " ".join([group[0]["peer"], *group[0].get("settings", [])])
            lines[label].append((average(group, "cpu_s"), mean(group, target, "mean")))
    for label, points in lines.items():
        x, y = zip(*sorted(points), strict=True)
        colour = COLOURS.get(label.partition(" ")[0])
        axis.plot(x, y, "o-", label=label, color=colour, linewidth=2 if label == "hilum" else 1.3)
    axis.set_xscale("log")
    axis.set_xlim(12, 2200)
    ticks = [20, 60, 150, 600, 1500]
    axis.set_xticks(ticks, labels=map(str, ticks))
    axis.minorticks_off()
    axis.set_xlabel("CPU seconds of training")
    axis.set_ylabel("mean Dice, test fold")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
