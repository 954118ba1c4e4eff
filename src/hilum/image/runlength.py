"""Run lengths as Kaggle writes masks: column by column, counted from 1, "start length" pairs."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.limits import LIMIT_PIXELS

_DIGITS = 12


def encode(mask: NDArray[np.bool_]) -> str:
    """Run lengths of a mask (Y, X) bool; "" for an empty one. Raises ImageError for other arrays.

    >>> encode(np.array([[True, False], [True, True]]))
    '1 2 4 1'
    """
    if mask.ndim != 2 or mask.dtype != bool:
        raise ImageError(f"run lengths need a mask (Y, X) of bool, not {mask.dtype} of shape {mask.shape}")
    edges = np.flatnonzero(np.diff(mask.ravel(order="F").astype(np.int8), prepend=0, append=0))
    runs = edges.reshape(-1, 2)
    pairs = np.column_stack([runs[:, 0] + 1, runs[:, 1] - runs[:, 0]])
    return " ".join(map(str, pairs.ravel().tolist()))


def decode(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (Y, X) bool of `shape` that run lengths describe.

    Raises ImageError where the text is anything but pairs of whole numbers from 1, in rising order,
    without overlap and inside the image.

    >>> decode("1 2 4 1", (2, 2)).tolist()
    [[True, False], [True, True]]
    """
    if len(shape) != 2 or min(shape) < 1 or math.prod(shape) > LIMIT_PIXELS:
        raise ImageError(
            f"run lengths of an image of shape {shape}: (Y, X) up to {LIMIT_PIXELS} pixels is allowed"
        )
    starts, ends = _runs(text, math.prod(shape))
    change = np.zeros(math.prod(shape) + 1, np.int8)
    # Runs that touch end and start at one place, where the changes must cancel.
    np.add.at(change, starts, 1)
    np.add.at(change, ends, -1)
    return np.cumsum(change[:-1], dtype=np.int8).astype(bool).reshape(shape, order="F")


def _runs(text: str, pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixels and pixels after the last, both from 0, of all runs."""
    if len(text) > 2 * pixels + 2 * _DIGITS * (pixels + 1):
        raise ImageError(f"run lengths: a text of {len(text)} characters for {pixels} pixels is too long")
    words = text.split()
    odd = next((word for word in words if not re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", word, re.ASCII)), None)
    if odd is not None:
        raise ImageError(
            f"run lengths: {odd[:40]!r} is not a whole number from 1; write pairs like '1 3 10 5'"
        )
    if len(words) % 2:
        raise ImageError(f"run lengths: {len(words)} numbers are no pairs of start and length")
    numbers = np.array(words, dtype=object).astype(np.int64) if words else np.zeros(0, np.int64)
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    ends = starts + lengths
    if (starts < 0).any() or (lengths < 1).any():
        raise ImageError("run lengths: starts and lengths count from 1, and one of them is 0")
    if (starts[1:] < ends[:-1]).any():
        at = int(np.argmax(starts[1:] < ends[:-1]))
        raise ImageError(
            f"run lengths: the run from {starts[at + 1] + 1} begins before the one ahead of it ends"
        )
    if ends.size and ends[-1] > pixels:
        raise ImageError(f"run lengths: the last run ends at {ends[-1]}, but the image has {pixels} pixels")
    return starts, ends
