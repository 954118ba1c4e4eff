"""How far masks of nearly equal frames agree with each other: what annotators repeat of their own outlines.

    python bench/agreement.py [us_nerve]

Every annotated image is held against the most alike other image of its group (correlation of images shrunk
four times); the Dice of their two true masks is averaged by how alike they are, over pairs that both have the
target. What differs is the annotator, and what moved between the frames. Prints a table for bench/RESULTS.md
and appends the figures to bench/results/agreement.jsonl.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.scoring.overlap import overlap
from hilum.study.masks import read_case_image, read_masks
from hilum.study.open import understand
from hilum.study.study import Case

RESULTS = Path(__file__).parent / "results" / "agreement.jsonl"
FACTOR = 4
BOUNDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0001)


@dataclass(frozen=True)
class Pair:
    """Two frames of one group: how alike the images are, and the Dice of their true masks."""

    alike: float
    dice: float


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("study", nargs="?", default="us_nerve")
    given = arguments.parse_args()
    study = understand(Path(os.environ.get("HILUM_DATA", "../shared/data")) / given.study)
    groups: dict[str, list[Case]] = {}
    for case in study.cases:
        groups.setdefault(case.group, []).append(case)
    for number, target in enumerate(study.targets):
        pairs = [pair for cases in groups.values() for pair in pairs_of(cases, study.targets, number)]
        record(given.study, target, pairs)


def pairs_of(cases: Sequence[Case], targets: Sequence[str], number: int) -> list[Pair]:
    """Each frame of a group that has the target with its most alike fellow that has it too."""
    seen, masks = [], []
    for case in cases:
        image = read_case_image(case)
        truth, known = read_masks(case, targets, image.shape)
        if known[number] and truth[number].any():
            seen.append(shrunk(image.array[0]))
            masks.append(truth[number])
    if len(seen) < 2:
        return []
    alike = np.stack(seen) @ np.stack(seen).T
    np.fill_diagonal(alike, -np.inf)
    return [
        Pair(float(row[at]), overlap(masks[own], masks[at]).dice)
        for own, row in enumerate(alike)
        if masks[own].shape == masks[at := int(row.argmax())].shape
    ]


def shrunk(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Means of blocks (Y', X') in one row, to a mean of 0 and a length of 1."""
    y, x = (side // FACTOR * FACTOR for side in pixels.shape)
    blocks = pixels[:y, :x].astype(np.float64).reshape(y // FACTOR, FACTOR, x // FACTOR, FACTOR)
    values = blocks.mean((1, 3)).ravel()
    values -= values.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-9))


def record(study: str, target: str, pairs: Sequence[Pair]) -> None:
    """Append to the results and print a row for each class of likeness."""
    rows = []
    for low, high in itertools.pairwise(BOUNDS):
        dice = [pair.dice for pair in pairs if low <= pair.alike < high]
        if dice:
            row = {"from": low, "to": min(high, 1.0), "pairs": len(dice)}
            rows.append({**row, "mean": float(np.mean(dice)), "median": float(np.median(dice))})
    found = {"date": datetime.now().isoformat(timespec="seconds"), "study": study, "target": target}
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**found, "rows": rows}) + "\n")
    for row in rows:
        span = f"{row['from']:g} to {row['to']:g}"
        print(f"| {study} {target} | {span} | {row['pairs']} | {row['mean']:.3f} | {row['median']:.3f} |")


if __name__ == "__main__":
    main()
