"""What the areas of targets give away: empty ones, values that few masks hold, masks turned inside out."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from hilum.image.channels import TURNED, TURNED_ASIDE
from hilum.image.readers import read_mask
from hilum.study.colours import colour_name
from hilum.study.names import counted, listed
from hilum.study.study import Case, Encoding, Finding, Study
from hilum.study.survey import Facts

# A value of its own in so few masks of at least so many is more often a slip than a target.
FEW_CASES = 3
LEAST_CASES = 8
NEARLY_ALL = 0.9


def area_findings(study: Study, facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """Findings on the pixels of every target in the cases that were looked at."""
    findings: list[Finding] = []
    for target in study.targets:
        seen = {name: fact for name, fact in facts.items() if target in fact.pixels}
        findings += _empty(target, seen)
        findings += _rare(study, target, seen)
        findings += _nearly_all(target, seen)
    return (*findings, *_turned_alone(study, facts))


def _turned_alone(study: Study, facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning of images turned by their tag whose masks have none, where their size does not tell."""
    names = tuple(
        case.name
        for case in study.cases
        if case.name in facts and _may_lie_otherwise(facts[case.name]) and _untagged(case)
    )
    if not names:
        return ()
    words = (
        f"{counted(len(names), 'image')} turned as the orientation tag says, with a mask that has no such "
        f"tag: {listed(names)}; where a mask was drawn on the image as it is stored, it lies wrongly: look "
        "at one, and save such images turned and without the tag"
    )
    return (Finding("warning", words, names),)


def _may_lie_otherwise(fact: Facts) -> bool:
    """Whether a mask of the stored image has the size of the turned one, too."""
    return TURNED in fact.notes or (TURNED_ASIDE in fact.notes and fact.shape[-2] == fact.shape[-1])


def _untagged(case: Case) -> bool:
    sources = (source for mask in case.masks.values() for source in mask.sources)
    return any(
        {TURNED, TURNED_ASIDE}.isdisjoint(read_mask(source.path, source.entry, source.index).notes)
        for source in sources
    )


def _empty(target: str, seen: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A target without a single pixel: in some cases a note, in all of them an error."""
    empty = tuple(name for name, fact in seen.items() if fact.pixels[target] == 0)
    if seen and len(empty) == len(seen):
        words = f"{target}: no pixel in any of {counted(len(seen), 'mask')}: there is nothing to learn"
        return (Finding("error", words, targets=(target,)),)
    if not empty:
        return ()
    return (Finding("note", f"{target} is empty in {counted(len(empty), 'case')}: {listed(empty)}", empty),)


def _rare(study: Study, target: str, seen: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning of a value or colour without a name that is a target of its own for one mask or two."""
    holding = tuple(name for name, fact in seen.items() if fact.pixels[target])
    if not 0 < len(holding) < FEW_CASES or len(seen) < LEAST_CASES:
        return ()
    encoding = study.by_name[holding[0]].masks[target].encoding
    value = _unnamed(target, encoding)
    if not value:
        return ()
    name_it = "name it in labels.json" if encoding.kind == "index" else "keep it"
    places = listed(_place(study.by_name[name], target, seen[name]) for name in holding)
    words = (
        f"{target}: {value} occurs in {len(holding)} of {len(seen)} cases only, and is a target of its own: "
        f"{places}; where it is a slip, paint it over, else {name_it}"
    )
    return (Finding("warning", words, holding),)


def _unnamed(target: str, encoding: Encoding) -> str:
    """The value or colour of a target in words, "" where the target has a name from elsewhere."""
    if encoding.kind == "index" and target.endswith(f"index-{encoding.value:g}"):
        return f"value {encoding.value:g}"
    if encoding.colour is not None and target.endswith(colour_name(encoding.colour)):
        return f"colour {encoding.colour}"
    return ""


def _place(case: Case, target: str, fact: Facts) -> str:
    files = listed(source.path.name for source in case.masks[target].sources)
    return f"{case.name} ({counted(fact.pixels[target], 'pixel')} in {files})"


def _nearly_all(target: str, seen: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning where a target fills nearly all of every mask, as where inside and outside are swapped."""
    shares = [fact.pixels[target] / max(1, prod(fact.shape)) for fact in seen.values()]
    if not shares or min(shares) <= NEARLY_ALL:
        return ()
    words = (
        f"{target} covers more than {NEARLY_ALL:.0%} of every mask ({min(shares):.0%} and more): are inside "
        "and outside swapped? Inside must be white, or the higher value; where it is not, invert the masks"
    )
    return (Finding("warning", words),)
