"""Images of different bit depth side by side, told by their type and the values that they reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hilum.study.names import counted, listed
from hilum.study.study import Finding
from hilum.study.survey import Facts

# Types whose highest values are further apart do not share a scale: 255 and 4,095, or 1 and 255.
APART = 8.0


def highest_by_type(seen: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The highest value of each type of pixels, of (type, highest value) of images.

    >>> highest_by_type([("uint8", 250.0), ("uint16", 60000.0), ("uint8", 255.0)])
    {'uint8': 255.0, 'uint16': 60000.0}
    """
    tops: dict[str, float] = {}
    for dtype, high in seen:
        tops[dtype] = max(high, tops.get(dtype, high))
    return tops


def mixed_depth(tops: Mapping[str, float]) -> str:
    """What types of no common scale are there, in words; nothing where all share one.

    >>> mixed_depth({"uint8": 255.0, "uint16": 60000.0}), mixed_depth({"uint8": 255.0, "float32": 250.0})
    ('uint8 up to 255, uint16 up to 60000', '')
    """
    heights = [max(top, 0.0) for top in tops.values()]
    if len(heights) < 2 or max(heights) <= APART * min(heights):
        return ""
    return ", ".join(f"{dtype} up to {top:g}" for dtype, top in tops.items())


def depth_findings(facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning of colour images of different bit depth, which the study's mean and spread do not fit."""
    colour = [seen for seen in facts.values() if seen.channels == 3]
    if not (words := mixed_depth(highest_by_type((seen.dtype, seen.high) for seen in colour))):
        return ()
    counts: dict[str, list[str]] = {}
    for seen in colour:
        counts.setdefault(seen.dtype, []).append(seen.name)
    rarest = min(counts.values(), key=len)
    message = (
        f"pixels of different bit depth: {words}; {counted(len(rarest), 'case')} differ from the rest: "
        f"{listed(rarest)}. Convert all to one type, or no colour means the same in them"
    )
    return (Finding("warning", message, tuple(rarest)),)
