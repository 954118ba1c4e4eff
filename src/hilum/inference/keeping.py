"""Out-of-fold probabilities kept on disk, 0 to 255 at working resolution, until they are decided on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError, RunError
from hilum.files import whole_file
from hilum.image.arrays import load_array
from hilum.inference.predictor import quantised


def keep(folder: Path, case: str, probability: NDArray[np.float32]) -> None:
    """Keep the probabilities (K, *S') or (K,) of one case; labels keep full precision."""
    values = quantised(probability) if probability.ndim > 1 else probability
    with whole_file(folder / f"{case}.npz") as beside, beside.open("wb") as handle:
        np.savez_compressed(handle, probability=values)


def kept(folder: Path, case: str) -> NDArray[np.uint8]:
    """The kept probabilities of one case. Raises RunError where they are missing or damaged."""
    path = folder / f"{case}.npz"
    try:
        return load_array(path, "probability")
    except (OSError, ImageError) as error:
        raise RunError(
            f"{path}: out-of-fold predictions cannot be read ({error}); train again with --resume"
        ) from error


def level_counts(probability: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of each output have each level (K, 256), of kept probabilities (K, *S'), 0 to 255."""
    return np.stack([np.bincount(each.ravel(), minlength=256) for each in probability])
