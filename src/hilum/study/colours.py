"""Colours of colour-coded masks, told from the chroma that JPEG leaves along edges."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hilum.image.image import Image

Colour = tuple[int, int, int]
COLOUR_TOLERANCE = 40
FEW = 32
_CHROMA_CLEAN = 8
_CHROMA_JPEG = 80
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
    return Counter(
        {
            (int(code) >> 16, int(code) >> 8 & 255, int(code) & 255): int(n)
            for code, n in zip(codes, counts, strict=True)
        }
    )


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


def colour_name(colour: Colour) -> str:
    """A colour in a word, or as six hexadecimal digits."""
    return _COLOURS.get(colour) or "colour-{:02x}{:02x}{:02x}".format(*colour)
