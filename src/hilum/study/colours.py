"""Colours of colour-coded masks, told from the chroma that JPEG leaves along edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hilum.image.image import Image

Colour = tuple[int, int, int]
COLOUR_TOLERANCE = 40
FEW = 32
_CHROMA_CLEAN = 8
_CHROMA_JPEG = 80
_OFF_LINE = 16
_AT_BORDERS = 0.7
_COLOURS = {
    (255, 0, 0): "red",
    (0, 255, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
    (255, 0, 255): "magenta",
    (0, 255, 255): "cyan",
    (255, 255, 255): "white",
    (0, 0, 0): "black",
}


def is_coloured(image: Image) -> bool:
    """Whether channels differ by more than JPEG makes them differ along the edges of white areas."""
    if image.channels < 3:
        return False
    array = image.array[:3].astype(np.int32)
    spread = array.max(axis=0) - array.min(axis=0)
    if (spread > _CHROMA_JPEG).mean() > 1e-3:
        return True
    clean = image.array.dtype == np.uint8 and bool((spread > _CHROMA_CLEAN).any())
    return clean and len(np.unique(_codes(image))) <= FEW


def _codes(image: Image) -> NDArray[np.int64]:
    """Colours as one number each: red, green and blue in 8 bits."""
    red, green, blue = image.array[:3].astype(np.int64).reshape(3, -1)
    return (red << 16) | (green << 8) | blue


def colours_of(image: Image) -> Counter[Colour]:
    """Colours of an image with their pixels, those on blurred edges (under a thousandth) left out."""
    codes, counts = np.unique(_codes(image), return_counts=True)
    if len(codes) > FEW:
        _, inverse = np.unique(codes & 0xE0E0E0, return_inverse=True)
        totals = np.bincount(inverse, weights=counts)
        kept = [int(index) for index in np.flatnonzero(totals >= 1e-3 * counts.sum())]
        tops = [int(np.flatnonzero(inverse == index)[counts[inverse == index].argmax()]) for index in kept]
        codes, counts = codes[tops], totals[kept].astype(np.int64)
    return Counter({colour_of(code): int(n) for code, n in zip(codes, counts, strict=True)})


def colour_of(code: float) -> Colour:
    """Red, green and blue of a colour as one number.

    >>> colour_of(0xFF8000), colour_code((255, 128, 0)) == 0xFF8000
    ((255, 128, 0), True)
    """
    return int(code) >> 16, int(code) >> 8 & 255, int(code) & 255


def colour_code(colour: Colour) -> int:
    """A colour as one number: red, green and blue in 8 bits."""
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def merge_near(counts: Counter[Colour]) -> list[Colour]:
    """Colours from the most frequent on, near ones counted with it and rounded to pure ones."""
    chosen: list[Colour] = []
    for colour, _ in counts.most_common():
        if all(
            max(abs(a - b) for a, b in zip(colour, other, strict=True)) > COLOUR_TOLERANCE for other in chosen
        ):
            chosen.append(colour)
    return [
        next(
            (pure for pure in _COLOURS if max(abs(a - b) for a, b in zip(colour, pure, strict=True)) <= 8),
            colour,
        )
        for colour in chosen
    ]


def blended(chosen: Sequence[Colour], images: Iterable[Image]) -> dict[Colour, Colour]:
    """Colours that only blend two more frequent ones along their borders, each with the nearer of the two.

    `chosen` is in order of frequency. So resizing leaves them: on the line between both colours, and in
    most pixels of the `images` between the colours of two neighbours.
    """
    doubtful = [colour for at, colour in enumerate(chosen) if _ends(colour, chosen[:at])]
    at_borders = _at_borders(doubtful, images) if doubtful else set()
    found: dict[Colour, Colour] = {}
    kept: list[Colour] = []
    for colour in chosen:
        ends = _ends(colour, kept) if colour in at_borders else ()
        if ends:
            found[colour] = min(ends, key=lambda end: _distance(end, colour))
        else:
            kept.append(colour)
    return found


def _ends(colour: Colour, others: Sequence[Colour]) -> tuple[Colour, ...]:
    """The two of the other colours on whose line a colour lies; none where there are no such two."""
    pairs = ((_off_line(colour, *pair), pair) for pair in combinations(others, 2))
    off, best = min(pairs, default=(_OFF_LINE + 1, ()))
    return best if off <= _OFF_LINE else ()


def _off_line(colour: Colour, first: Colour, second: Colour) -> float:
    """How far a colour lies from the nearest blend of two others, at most along red, green or blue."""
    way = np.subtract(second, first)
    to = np.subtract(colour, first)
    share = min(max(float(to @ way) / float(way @ way), 0.0), 1.0)
    return float(np.abs(to - share * way).max())


def _distance(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _at_borders(colours: Sequence[Colour], images: Iterable[Image]) -> set[Colour]:
    """Those of the colours whose pixels mostly lie on a slope of colour."""
    every: Counter[Colour] = Counter()
    sloping: Counter[Colour] = Counter()
    for image in images:
        if image.channels < 3:
            continue
        array = image.array[:3].astype(np.int16)
        slope = _on_slope(array)
        for colour in colours:
            wanted = np.asarray(colour, np.int16).reshape(3, *([1] * len(image.shape)))
            near = (np.abs(array - wanted) <= COLOUR_TOLERANCE).all(axis=0)
            every[colour] += int(np.count_nonzero(near))
            sloping[colour] += int(np.count_nonzero(near & slope))
    return {colour for colour in colours if sloping[colour] >= _AT_BORDERS * every[colour] > 0}


def _on_slope(array: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Pixels of (3, ..., Y, X) that differ from two opposite neighbours and lie between them."""
    found = np.zeros(array.shape[1:], bool)
    for axis in (-1, -2):
        along = np.moveaxis(array, axis, -1)
        before, here, after = along[..., :-2], along[..., 1:-1], along[..., 2:]
        down, up = np.abs(here - before), np.abs(after - here)
        detour = (down + up - np.abs(after - before)).max(axis=0)
        steps = np.minimum(down.max(axis=0), up.max(axis=0))
        np.moveaxis(found, axis, -1)[..., 1:-1] |= (steps > _CHROMA_CLEAN) & (detour <= _CHROMA_CLEAN)
    return found


def colour_name(colour: Colour) -> str:
    """A colour in a word, or as six hexadecimal digits."""
    return _COLOURS.get(colour) or "colour-{:02x}{:02x}{:02x}".format(*colour)
