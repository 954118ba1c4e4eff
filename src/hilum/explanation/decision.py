"""What counts as found: the way from probabilities to masks or called classes, handed in by the verbs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.inference.predictor import enlarged, quantised
from hilum.training.prepare import resize

Found = NDArray[np.bool_]
# From what networks say of a whole image, and its shape: (K, *S') to masks (K, *shape), labels (K,) to (K,).
Decide = Callable[[NDArray[np.float32], tuple[int, ...]], Found]
HALF = 0.5


def at_half(probability: NDArray[np.float32], shape: tuple[int, ...]) -> Found:
    """Decide as a run does that nothing was fitted for.

    >>> at_half(np.array([0.2, 0.7], np.float32), (8, 8)).tolist()
    [False, True]
    """
    if probability.ndim == 1:
        return np.asarray(probability >= HALF)
    return np.asarray(enlarged(quantised(probability), shape) >= HALF * 255)


def at_working(masks: Found, sides: tuple[int, ...]) -> Found:
    """Masks (K, *S) in the network's pixels (K, *sides): those half covered; of a thin one all it touches."""
    covered = resize(torch.from_numpy(np.ascontiguousarray(masks)), sides).numpy()
    half = [one >= HALF for one in covered]
    return np.stack([at if at.any() else one > 0 for at, one in zip(half, covered, strict=True)])
