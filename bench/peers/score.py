"""One scorer for all: full-resolution masks of a test fold against the truth, by Hilum's own scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hilum.scoring.overlap import Overlap, overlap, ratio


def score(fold: Path, predicted: Path) -> dict[str, dict[str, float]]:
    """Dice of each target: mean over the cases that have it, their number, and pooled over all cases.

    `predicted` holds KEY.npy (T, Y, X, bool) for each test case of the fold. Raises FileNotFoundError where
    one is missing, ValueError where a shape does not fit.
    """
    content = json.loads(fold.read_text(encoding="utf-8"))
    counts: dict[str, list[Overlap]] = {target: [] for target in content["targets"]}
    for key in content["test"]:
        truth = np.load(fold.parent / "masks" / f"{key}.npy")
        masks = np.load(predicted / f"{key}.npy")
        if masks.shape != truth.shape or masks.dtype != np.bool_:
            raise ValueError(f"{predicted / key}: {masks.dtype} {masks.shape}, the truth is {truth.shape}")
        for index, target in enumerate(content["targets"]):
            counts[target].append(overlap(masks[index], truth[index]))
    return {target: _summary(found) for target, found in counts.items()}


def _summary(counts: list[Any]) -> dict[str, float]:
    having = [one.dice for one in counts if one.truth_pixels]
    tp, fp, fn = (sum(getattr(one, name) for one in counts) for name in ("tp", "fp", "fn"))
    empty = [one for one in counts if not one.truth_pixels]
    return {
        "mean": float(np.mean(having)) if having else float("nan"),
        "cases": len(having),
        "pooled": float(ratio(2 * tp, 2 * tp + fp + fn)),
        "without": len(empty),
        "false_pixels_without": float(np.mean([one.fp for one in empty])) if empty else 0.0,
    }
