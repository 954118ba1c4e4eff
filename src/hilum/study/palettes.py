"""What the palettes of mask files say of their indices, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.image.limits import shown
from hilum.study.colours import COLOUR_TOLERANCE, Colour, colour_name

_BLACK = 16


@dataclass(frozen=True)
class Used:
    """The indices that occur in one mask file, with their colours in its palette."""

    path: Path | None
    colours: Mapping[int, Colour]


def used_colours(path: Path | None, palette: NDArray[np.uint8], values: Iterable[float]) -> Used:
    """The colours (R, G, B) of those of the values that a palette (K, 3) has."""
    indices = (int(value) for value in values if value < len(palette))
    return Used(path, {index: _colour(palette[index]) for index in indices})


def _colour(row: NDArray[np.uint8]) -> Colour:
    red, green, blue = row.tolist()
    return red, green, blue


def by_colour(palettes: Sequence[Used]) -> bool:
    """Whether colours and not indices say what is what.

    So where black, which is outside, is used under another index than 0, and where palettes swap colours.
    """
    return any(map(_black_elsewhere, palettes)) or _swapped(palettes)


def palette_warning(palettes: Sequence[Used]) -> tuple[str, ...]:
    """A warning where an index that is used has different colours in two files."""
    for index, colours in _table(palettes).items():
        if len(colours) > 1:
            (one, first), (other, second) = list(colours.items())[:2]
            words = (
                f"index {index} is {colour_name(one)} in the palette of {shown(first or 'one file')} and "
                f"{colour_name(other)} in that of {shown(second or 'another')}: the masks are read by "
            )
            if by_colour(palettes):
                return (f"{words}their colours; where the indices are meant, save them without a palette",)
            return (f"{words}their indices; where the colours are meant, save them as RGB",)
    return ()


def _black_elsewhere(used: Used) -> bool:
    black = {index for index, colour in used.colours.items() if max(colour) <= _BLACK}
    return bool(black) and 0 not in black


def _swapped(palettes: Sequence[Used]) -> bool:
    """Whether an index has two colours of which one is another index in another file, too.

    Without the second, files of one target may only have been painted in colours of their own.
    """
    table = _table(palettes)
    return any(
        _near(colour, other)
        for index, colours in table.items()
        if len(colours) > 1
        for colour in colours
        for at, others in table.items()
        if at != index
        for other in others
    )


def _table(palettes: Iterable[Used]) -> dict[int, dict[Colour, Path | None]]:
    """The colours of each index, each with a file; palettes that tell no colours apart do not count."""
    table: dict[int, dict[Colour, Path | None]] = {}
    for used in filter(_tells_apart, palettes):
        for index, colour in used.colours.items():
            seen = table.setdefault(index, {})
            if not any(_near(colour, other) for other in seen):
                seen[colour] = used.path
    return table


def _tells_apart(used: Used) -> bool:
    """Whether no two indices have one colour, as they have in ramps of 0, 1 and 2."""
    return not any(_near(one, other) for one, other in combinations(used.colours.values(), 2))


def _near(one: Colour, other: Colour) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= COLOUR_TOLERANCE
