"""How the mask files of one target say "inside": found by looking at a sample of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError, StudyError
from hilum.image.image import Image
from hilum.image.limits import shown
from hilum.image.readers import expand_palette, read_mask
from hilum.image.tiff_colours import INVERTED
from hilum.study.colours import (
    COLOUR_TOLERANCE,
    FEW,
    Colour,
    blended,
    colour_code,
    colour_name,
    colours_of,
    is_coloured,
    merge_near,
)
from hilum.study.flat import are_flat, values_between
from hilum.study.inside import luminance, read_channels, settled
from hilum.study.names import listed
from hilum.study.palettes import Used, by_colour, palette_warning, used_colours
from hilum.study.study import Encoding, Source

SAMPLE = 24
_EVERY = 3000
_RINGING = 0.97
_AT_ENDS = 0.6
_FULL = {1.0, 255.0, 65535.0}
# What gives the pixels (..., Y, X) of a sample of masks, for those questions that values leave open.
Masks = Callable[[], Iterable[NDArray[Any]]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Coding:
    """How the mask files of one target are coded: its parts with names ("" for the target itself).

    `numbered` says that each value is an object of its own; taken together they are one target. `doubt`
    says why these may be no masks, `warnings` what else a person should know.
    """

    parts: tuple[tuple[str, Encoding], ...]
    doubt: str = ""
    numbered: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Values:
    """Values with the number of their pixels, and whether no file holds two of them besides 0."""

    counts: Counter[float]
    alone: bool

    @property
    def inside(self) -> list[float]:
        """The values other than 0, sorted."""
        return sorted(value for value in self.counts if value != 0)


def find_coding(sources: Sequence[Source], sample: int = SAMPLE) -> Coding:
    """How these mask files of one target are coded; what a person should know is logged too.

    Unreadable files are passed over here; the study's check names them.
    Raises StudyError where a mask has colours and depth at once, which nothing produces.
    """
    coding = coding_with_warnings(sources, sample)
    for words in coding.warnings:
        _log.warning("%s", words)
    return coding


def coding_with_warnings(sources: Sequence[Source], sample: int) -> Coding:
    """The coding of mask files with its warnings, which are not logged here."""
    step = max(1, -(-len(sources) // max(1, sample)))
    images = [image for image in map(_indices, sources[::step]) if image is not None]
    if not images:
        why = "".join(map(_refusal, sources[:1]))
        return Coding((("", Encoding("threshold", 127.0)),), f"no mask file could be read{why}")
    coding = _coding_of_files(sources, images)
    inverted = [image.path for image in images if image.path is not None and INVERTED in image.notes]
    return replace(
        coding, warnings=inversion_warning(inverted) + coding.warnings + _left_out(sources, coding)
    )


def _coding_of_files(sources: Sequence[Source], images: Sequence[Image]) -> Coding:
    """The coding of mask files, of which some were opened already."""
    palette = any(image.palette is not None and not _grey_ramp(image.palette) for image in images)
    opened = _indices
    warnings: tuple[str, ...] = ()
    if palette:
        values, used = _palette_values(_opened(sources, _indices))
        warnings = palette_warning(used)
        if not by_colour(used):
            coding = _index_coding(values, True, lambda: values, lambda: _planes(images))
            return replace(coding, warnings=coding.warnings + warnings)
        opened, images = _expanded_palette, list(map(expand_palette, images))
    if any(map(is_coloured, images)):
        coding = _colour_coding(_opened(sources, opened), images)
        return replace(coding, warnings=coding.warnings + warnings)
    values = gather(map(_values, images))
    return _index_coding(
        values,
        False,
        lambda: gather(map(_values, _opened(sources, opened))),
        lambda: _planes(images),
    )


def _opened(sources: Sequence[Source], opened: Callable[[Source], Image | None]) -> Iterator[Image]:
    """Mask files one after the other, no more than _EVERY; those that cannot be read are passed over."""
    return (image for image in map(opened, sources[:_EVERY]) if image is not None)


def _planes(images: Sequence[Image]) -> Iterator[NDArray[Any]]:
    return (image.array[0] if image.channels < 3 else luminance(image) for image in images)


def inversion_warning(found: Sequence[Path]) -> tuple[str, ...]:
    """A warning where TIFF masks say that white is 0, as scans do: others may have meant the values."""
    if not found:
        return ()
    return (
        f"{shown(found[0])} and perhaps others say that 0 is white (WhiteIsZero) and are read inverted: 0 is "
        "inside. Where their values are meant as they are, save them with 0 as black (BlackIsZero)",
    )


def _left_out(sources: Sequence[Source], coding: Coding) -> tuple[str, ...]:
    """A warning where values or colours were collected from some of the files alone."""
    if len(sources) <= _EVERY or all(encoding.kind == "threshold" for _, encoding in coding.parts):
        return ()
    return (
        f"only the first {_EVERY:,} of {len(sources):,} mask files were looked at for values and colours; "
        "those that occur in later files alone are left out",
    )


def _palette_values(images: Iterable[Image]) -> tuple[Values, list[Used]]:
    """Indices with the number of their pixels, and the colours of those that each file uses."""
    every: list[Counter[float]] = []
    used: list[Used] = []
    for image in images:
        every.append(_values(image))
        if image.palette is not None:
            used.append(used_colours(image.path, image.palette, every[-1]))
    return gather(every), used


def gather(files: Iterable[Counter[float]]) -> Values:
    """The values of several files together."""
    counts: Counter[float] = Counter()
    alone = True
    for own in files:
        counts.update(own)
        alone &= sum(value != 0 for value in own) <= 1
    return Values(counts, alone)


def coding_of_values(values: Values, masks: Masks) -> Coding:
    """How grey masks with these values are coded; `masks` are looked at where values leave it open."""
    return _index_coding(values, False, lambda: values, masks)


def _index_coding(
    sample: Values,
    palette: bool,
    collect: Callable[[], Values],
    masks: Masks,
) -> Coding:
    """Coding of grey or palette values from a sample; `collect` looks at every file, `masks` has pixels."""
    inside = sample.inside
    whole = all(float(value).is_integer() and value > 0 for value in inside)
    if len(inside) > FEW or not whole:
        return _threshold_coding(sample.counts, masks)
    every = collect()
    if every.alone and len(every.inside) > 1 and _FULL.issuperset(every.inside):
        return Coding((("", _any_of(every.inside, palette)),))
    if not palette and inside == [255]:
        return Coding((("", Encoding("threshold", 127.0)),))
    inside = every.inside
    if len(inside) > FEW or (not palette and _ringing(sample.counts)):
        return _threshold_coding(sample.counts, masks)
    if len(inside) > 1 and (palette or inside[-1] != 1):
        return Coding(tuple((f"index-{value:g}", Encoding("index", value)) for value in inside))
    if palette and inside:
        return Coding((("", Encoding("index", inside[0])),))
    return Coding((("", _between(inside[0] if inside else 255.0)),))


def _any_of(full: Sequence[float], palette: bool) -> Encoding:
    """One target that some files write as 1, others as 255: above 0, or any of the indices."""
    if palette:
        return Encoding("index", full[0], others=tuple(full[1:]))
    return Encoding("threshold", 0.5)


def _between(high: float) -> Encoding:
    """The threshold halfway between 0 and `high`, as whole as `high` is."""
    return Encoding("threshold", float(high // 2) if high > 1 and float(high).is_integer() else high / 2)


def _threshold_coding(values: Counter[float], masks: Masks) -> Coding:
    """Many values: 0 and the highest with ringing between, numbered objects, or no mask at all."""
    high = max(values)
    if _numbers_objects(values, masks):
        doubt = f"{len(values) - 1} values up to {high:g}: taken as numbered objects of one target"
        return Coding((("", Encoding("threshold", 0.5)),), doubt, numbered=True)
    if high > 1 and high <= 255:
        high = 255.0 if high > 127 else high
    share = _end_share(values, high)
    doubt = (
        ""
        if share >= 0.9
        else (
            f"only {share:.0%} of the mask pixels are near black or white: are these masks? "
            f"Taken as inside above {_between(high).value:g}"
        )
    )
    limit = _between(high)
    warnings = tuple(_third_value(value, limit) for value in values_between(masks(), high))
    return Coding((("", limit),), doubt, warnings=warnings)


def _third_value(value: float, limit: Encoding) -> str:
    side = "inside" if value > limit.value else "outside"
    return (
        f"areas of a grey near {value:g} lie between black and white and are read as {side} (inside is above "
        f"{limit.value:g}); if they are a class of their own, export the masks as PNG or TIFF with one value "
        "a class, and resize them by nearest neighbour"
    )


def _numbers_objects(values: Counter[float], masks: Masks) -> bool:
    """Whether values are the numbers of objects and not shades: whole, not massed near both ends.

    Up to 255 shades of soft masks and probabilities look alike; there neighbours must mostly be equal.
    """
    high = max(values)
    if not all(float(value).is_integer() and value >= 0 for value in values) or _ringing(values):
        return False
    inside = Counter({value: number for value, number in values.items() if value > 0})
    return high > 255 or (
        _end_share(inside, high) < _AT_ENDS and len(inside) >= high / 2 and are_flat(masks())
    )


def _ringing(values: Counter[float]) -> bool:
    """Whether nearly all pixels lie near 0 or the highest value, with others between, as after JPEG."""
    high = max(values)
    return (
        len(values) > 3
        and high > 127
        and _end_share(values, high) >= _RINGING
        and (1 in values or 254 in values)
    )


def _end_share(values: Counter[float], high: float) -> float:
    total = sum(values.values())
    ends = sum(number for value, number in values.items() if value <= high / 8 or value >= high * 7 / 8)
    return ends / total if total else 1.0


def _indices(source: Source) -> Image | None:
    try:
        return read_channels(source)
    except ImageError:
        return None


def _refusal(source: Source) -> str:
    """Why a mask file cannot be read, behind a colon."""
    try:
        read_channels(source)
    except ImageError as error:
        return f": {error}"
    return ""


def _expanded_palette(source: Source) -> Image | None:
    image = _indices(source)
    return None if image is None else expand_palette(image)


def _grey_ramp(palette: NDArray[np.uint8]) -> bool:
    """Whether a palette only restates grey values."""
    steps = np.arange(len(palette))[:, None]
    return len(palette) > 2 and bool((np.abs(palette.astype(int) - steps) <= 1).all())


def _values(image: Image) -> Counter[float]:
    return values_of(image.array[0] if image.channels < 3 else np.rint(luminance(image)).astype(np.uint16))


def values_of(grey: NDArray[Any]) -> Counter[float]:
    """Grey values or indices with the number of their pixels."""
    return Counter({float(value): int(number) for value, number in zip(*_unique(grey), strict=True)})


def _unique(grey: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if grey.dtype in (np.uint8, np.uint16):
        counts = np.bincount(grey.ravel())
        present = np.flatnonzero(counts)
        return present, counts[present]
    values, counts = np.unique(settled(grey), return_counts=True)
    return values, counts


def looks_like_mask(source: Source) -> bool:
    """Whether a file looks like a mask rather than like an image: few values, or nearly all near both ends.

    Raises ImageError where the file cannot be read.
    """
    image = read_mask(source.path, source.entry, source.index)
    if image.palette is not None and not _grey_ramp(image.palette):
        return len(_values(image)) <= FEW
    if is_coloured(image):
        corners = np.minimum(image.array[:3], 255 - image.array[:3]) <= FEW
        return image.array.dtype == np.uint8 and bool(corners.all(axis=0).mean() >= _RINGING)
    values = _values(image)
    return len(values) <= FEW or (max(values) > 127 and _end_share(values, max(values)) >= _RINGING)


def _colour_coding(images: Iterable[Image], sample: Sequence[Image]) -> Coding:
    """One part a colour that covers a noticeable share; black, or else the most frequent, is outside.

    `sample` tells of colours between two others whether they are found along borders alone.
    """
    counts: Counter[Colour] = Counter()
    for image in images:
        if image.array.dtype != np.uint8:
            raise StudyError(
                f"{shown(image.path or 'mask')}: a colour mask of {image.array.dtype}; "
                "8-bit colours are allowed, save it with those"
            )
        if image.channels >= 3:
            counts.update(colours_of(image))
    chosen = merge_near(counts)
    outside = next((colour for colour in chosen if max(colour) <= COLOUR_TOLERANCE), chosen[0])
    edges = blended(chosen, sample)
    parts = sorted(colour for colour in chosen if colour != outside and colour not in edges)
    return Coding(
        tuple((colour_name(colour), _with_edges(colour, edges)) for colour in parts),
        warnings=_edge_warning(edges),
    )


def _with_edges(colour: Colour, edges: Mapping[Colour, Colour]) -> Encoding:
    others = (float(colour_code(edge)) for edge, nearer in edges.items() if nearer == colour)
    return Encoding("colour", colour=colour, others=tuple(others))


def _edge_warning(edges: Iterable[Colour]) -> tuple[str, ...]:
    names = listed(map(colour_name, edges))
    if not names:
        return ()
    return (
        f"colours between two others, along borders alone ({names}), are taken as edges that were blended in "
        "resizing, each part of the nearer colour; where one is a target, save it in a colour of its own",
    )
