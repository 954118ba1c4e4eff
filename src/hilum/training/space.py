"""Room on the disk, asked for before a training starts rather than found missing at its end."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hilum.errors import TrainingError
from hilum.planning.plan import Plan

VALUE_BYTES = 4
COPIES = 5  # of the weights in a state: network, average, two moments, and the best ones met
BESIDE = 2  # a new state is written beside the old one
PIXEL_BYTES = 1.0  # masks, an overlay and their share of the report, a pixel of an image
SLACK_BYTES = 30_000_000


def needed_bytes(weights: int, folds: int, kept_values: int, pixels: int) -> int:
    """Bytes that a run takes at most: weights, states, out-of-fold probabilities, pictures and the report.

    `weights` is how many a network has, `kept_values` how many probabilities are kept, `pixels` how many
    are drawn.
    """
    networks = weights * VALUE_BYTES * (folds + COPIES * BESIDE)
    return round(networks + kept_values + pixels * PIXEL_BYTES + SLACK_BYTES)


def check_space(folder: Path, needed: int) -> None:
    """Raise TrainingError where the disk of `folder` has not `needed` bytes left."""
    free = shutil.disk_usage(existing(folder)).free
    if needed > free:
        raise TrainingError(
            f"{folder}: the run needs up to {in_words(needed)} and its disk has {in_words(free)} left; free "
            "some, or name a folder on another disk (--out)"
        )


def smaller_images(plan: Plan) -> str:
    """What to type for images of half the size: of a size that all have, with the patch, or else shrunk."""
    if plan.data.size is None:
        return f"--set data.downsample={plan.data.downsample * 2}"
    half = ",".join(str(min(side, max(32, side // 64 * 32))) for side in plan.data.size)
    return f"--set data.size=[{half}] --set training.patch=[{half}]"


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.resolve().parents) if path.exists())


def in_words(size: int) -> str:
    """Bytes as people say them.

    >>> in_words(1_234_567), in_words(3_210_000_000)
    ('1 MB', '3.2 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def working_values(shapes: Sequence[Sequence[int]], outputs: int) -> int:
    """Probabilities kept of images of these spatial shapes.

    >>> working_values([(10, 10), (5, 4)], 2)
    240
    """
    total = 0
    for shape in shapes:
        values = 1
        for side in shape:
            values *= side
        total += values
    return total * outputs
