"""Share of an image, and of each of its tiles, that a mask covers, as lines to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def share_text(mask: NDArray[np.bool_]) -> str:
    """Pixels of a mask, pixels in all, and per cent.

    >>> share_text(np.array([[True, False, False, False]]))
    '1 / 4 25.00%'
    """
    pixels, total = int(np.count_nonzero(mask)), mask.size
    return f"{pixels} / {total} {100 * pixels / max(1, total):.2f}%"


def share_lines(name: str, mask: NDArray[np.bool_], tiles: Sequence[tuple[slice, ...]]) -> Iterator[str]:
    """A line for each tile (row and column of its first pixel) and one for the whole image (Y, X)."""
    for tile in tiles:
        at = " ".join(f"{axis}{part.start}" for axis, part in zip("rc", tile[-2:], strict=True))
        yield f"{name} {at}: {share_text(mask[tile])}"
    yield f"{name}: {share_text(mask)}"
