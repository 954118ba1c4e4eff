"""What a person should know of a study before training: sizes, targets, groups, splits, what looks wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.study.areas import area_findings
from hilum.study.check import class_findings, group_findings
from hilum.study.depth import depth_findings
from hilum.study.duplicates import (
    Contradiction,
    Pair,
    contradiction_findings,
    duplicate_findings,
    find_contradictions,
    find_duplicates,
)
from hilum.study.looked_for import looked_for_findings
from hilum.study.magnification import magnification_findings
from hilum.study.marked import mark_findings, mark_lines, mark_summary
from hilum.study.names import counted, listed, natural
from hilum.study.open import SURVEYED_BYTES, total_bytes, understand
from hilum.study.shortcuts import Shortcut, find_shortcuts, shortcut_findings
from hilum.study.study import Finding, Study
from hilum.study.survey import Facts, Survey, survey_study

IMBALANCE = 3.0
_LEAST_CASES = 8
# notes with a number of their own in each file (a tilt, a step) would fill pages
_MOST_NOTES = 12
_SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class TargetRow:
    """One target: how its masks are coded, the cases that are annotated and empty, its pixels and share."""

    name: str
    encoding: str
    annotated: int
    empty: int
    pixels: int
    share: float


@dataclass(frozen=True)
class ClassRow:
    """One class: images in each split and their share, shapes (height, width) smallest, largest and mean."""

    name: str
    images: Mapping[str, int]
    share: float
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    mean: tuple[int, ...]


@dataclass(frozen=True)
class Inspection:
    """A study with everything that one look at its files tells."""

    study: Study
    targets: tuple[TargetRow, ...]
    classes: tuple[ClassRow, ...]
    sizes: Mapping[str, int]
    kinds: Mapping[str, int]
    spacings: Mapping[str, int]
    intensities: tuple[float, float]
    overlap: int
    groups: Mapping[str, int]
    splits: Mapping[str, int]
    duplicates: tuple[Pair, ...]
    contradictions: tuple[Contradiction, ...]
    shortcuts: tuple[Shortcut, ...]

    def lines(self) -> list[str]:
        """The inspection as plain text."""
        return inspection_lines(self)

    def to_json(self) -> dict[str, Any]:
        """The inspection for machines; paths are text."""
        content = {name: getattr(self, name) for name in ("sizes", "kinds", "spacings", "groups", "splits")}
        rows = ("targets", "classes", "duplicates", "contradictions", "shortcuts")
        return {
            "folder": str(self.study.root),
            "layout": self.study.layout,
            "cases": len(self.study.cases),
            "grouping": self.study.grouping,
            "exclusive": self.study.exclusive,
            **{name: dict(mapping) for name, mapping in content.items()},
            "intensities": list(self.intensities),
            "overlap": self.overlap,
            **{name: [asdict(row) for row in getattr(self, name)] for name in rows},
            "marks": mark_summary(self.study),
            "findings": [asdict(finding) for finding in self.study.findings],
        }


def inspect(folder: Path | str, group_by: str | None = None, limit_bytes: int = SURVEYED_BYTES) -> Inspection:
    """Look at every file of a folder once and tell what is there; above `limit_bytes` at a sample of cases.

    Raises StudyError where no layout is recognised; bad cases are findings, not errors.
    """
    study = understand(folder, group_by)
    bytes_all = total_bytes(study)
    if bytes_all <= limit_bytes:
        return inspect_study(study, survey_study(study))
    share = max(_LEAST_CASES, int(len(study.cases) * limit_bytes / bytes_all))
    chosen = study.cases[:: max(1, -(-len(study.cases) // share))]
    words = (
        f"the files are {bytes_all / 1e9:.0f} GB: {counted(len(chosen), 'case')} of {len(study.cases):,} "
        "were looked at, evenly spread; sizes, pixels and warnings are of these"
    )
    sampled = replace(study, findings=(*study.findings, Finding("note", words)))
    return inspect_study(sampled, survey_study(replace(study, cases=chosen)))


def inspect_study(study: Study, survey: Survey) -> Inspection:
    """The inspection of a study that was surveyed."""
    facts = survey.facts
    pairs = find_duplicates(study, facts)
    contradictions = find_contradictions(pairs, facts)
    shortcuts = find_shortcuts(study, facts) if study.classes else ()
    findings = (
        *study.findings,
        *survey.problems,
        *area_findings(study, facts),
        *class_findings(study),
        *looked_for_findings(study),
        *group_findings(study),
        *imbalance_findings(study),
        *duplicate_findings(study, pairs),
        *contradiction_findings(contradictions),
        *shortcut_findings(shortcuts),
        *mark_findings(study, facts),
        *depth_findings(facts),
        *magnification_findings(facts),
        *_reader_notes(facts),
    )
    ordered = tuple(sorted(dict.fromkeys(findings), key=lambda finding: _SEVERITIES.index(finding.severity)))
    every = list(facts.values())
    return Inspection(
        replace(study, findings=ordered),
        tuple(_target_row(study, target, facts) for target in study.targets if _masked(study)),
        tuple(_class_row(study, name, facts) for name in study.classes),
        _counts(_size(seen.shape) for seen in every),
        _counts(f"{counted(seen.channels, 'channel')} {seen.dtype}" for seen in every),
        _counts(str(seen.spacing) if seen.spacing.known else "unknown (px)" for seen in every),
        (min((seen.low for seen in every), default=0.0), max((seen.high for seen in every), default=0.0)),
        sum(seen.overlap for seen in every),
        _by_name(Counter(case.group for case in study.cases)),
        _by_name(Counter(case.split for case in study.cases if case.split)),
        pairs,
        contradictions,
        shortcuts,
    )


def _masked(study: Study) -> bool:
    return any(case.masks for case in study.cases)


def _target_row(study: Study, target: str, facts: Mapping[str, Facts]) -> TargetRow:
    encodings = {str(case.masks[target].encoding) for case in study.cases if target in case.masks}
    seen = [fact for fact in facts.values() if target in fact.pixels]
    pixels = sum(fact.pixels[target] for fact in seen)
    every = sum(int(np.prod(fact.shape)) for fact in seen)
    empty = sum(fact.pixels[target] == 0 for fact in seen)
    return TargetRow(
        target, " or ".join(sorted(encodings)), len(seen), empty, pixels, pixels / every if every else 0.0
    )


def _class_row(study: Study, name: str, facts: Mapping[str, Facts]) -> ClassRow:
    cases = [case for case in study.cases if case.labels.get(name) == 1.0]
    shapes = sorted(
        (facts[case.name].shape for case in cases if case.name in facts), key=lambda s: int(np.prod(s))
    )
    shapes = [shape for shape in shapes if len(shape) == len(shapes[0])]
    mean = tuple(int(size) for size in np.rint(np.mean(shapes, axis=0))) if shapes else ()
    splits = _by_name(Counter(case.split or "all" for case in cases))
    share = len(cases) / max(1, len(study.cases))
    return ClassRow(name, splits, share, shapes[0] if shapes else (), shapes[-1] if shapes else (), mean)


def imbalance_findings(study: Study) -> tuple[Finding, ...]:
    """A warning of exclusive classes whose numbers of images are far apart."""
    counts = {name: sum(case.labels.get(name) == 1.0 for case in study.cases) for name in study.classes}
    present = [number for number in counts.values() if number]
    if not study.exclusive or len(present) < 2 or max(present) < IMBALANCE * min(present):
        return ()
    text = ", ".join(f"{name} {number:,}" for name, number in counts.items())
    return (
        Finding("warning", f"imbalance: {text}; classes are weighted in training, read the scores per class"),
    )


def _reader_notes(facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """What readers had to decide (frames left aside, alpha dropped): each once, with its cases."""
    cases: dict[str, list[str]] = {}
    for name, seen in facts.items():
        for note in dict.fromkeys(seen.notes):
            cases.setdefault(note, []).append(name)
    ordered = sorted(cases.items(), key=lambda item: -len(item[1]))
    findings = [
        Finding("note", f"{note}, in {counted(len(names), 'case')}: {listed(names)}", tuple(names))
        for note, names in ordered[:_MOST_NOTES]
    ]
    if rest := ordered[_MOST_NOTES:]:
        names = list(dict.fromkeys(name for _, found in rest for name in found))
        words = f"{counted(len(rest), 'further note')} on reading {counted(len(names), 'case')}: "
        findings.append(Finding("note", f"{words}{listed(names)}; one is: {rest[0][0]}", tuple(names)))
    return tuple(findings)


def _by_name(counter: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: natural(item[0])))


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _size(shape: tuple[int, ...]) -> str:
    """Width first, as people say it: 1392 x 1040."""
    return " x ".join(map(str, reversed(shape)))


def inspection_lines(inspection: Inspection) -> list[str]:
    """An inspection as lines of plain text: what is there first, what looks wrong last."""
    study = inspection.study
    lines = [f"{study.root}", f"Layout: {study.layout}", f"Cases: {len(study.cases):,}"]
    lines += _pixel_lines(inspection) + _group_lines(inspection) + _target_lines(inspection)
    lines += _class_lines(inspection) + _shortcut_lines(inspection)
    lines += mark_lines(study)
    if not study.findings:
        return [*lines, "Nothing looks wrong."]
    return [*lines, "", *(f"{finding.severity.upper()}: {finding.message}" for finding in study.findings)]


def _pixel_lines(inspection: Inspection) -> list[str]:
    low, high = inspection.intensities
    deep = bool(inspection.sizes) and all(size.count(" x ") == 2 for size in inspection.sizes)
    return [
        f"Images: {_sizes(inspection.sizes)}; {_summary(inspection.kinds)}; values {low:g} to {high:g}",
        f"Spacing{' (z x y x x)' if deep else ''}: {_spacings(inspection.spacings)}",
    ]


def _sizes(sizes: Mapping[str, int]) -> str:
    """Sizes by frequency, or the smallest and the largest where nearly every image has another."""
    if len(sizes) <= 4:
        return f"{_summary(sizes)} pixels"
    ordered = sorted(sizes, key=lambda size: math.prod(map(int, size.split(" x "))))
    return f"{len(sizes)} sizes, from {ordered[0]} to {ordered[-1]} pixels"


def _spacings(counts: Mapping[str, int]) -> str:
    """Spacings by frequency, or the span along each axis where nearly every scan has another.

    >>> _spacings({f"2.5 x 0.{n} x 0.{n} mm": 1 for n in range(5, 10)})
    '5 spacings, 2.5 x 0.5 to 0.9 x 0.5 to 0.9 mm'
    """
    rows = [name.rsplit(" ", 1) for name in counts]
    if len(rows) <= 4 or len({row[-1] for row in rows}) > 1 or any("(" in name for name in counts):
        return _summary(counts)
    axes = zip(*(map(float, sizes.split(" x ")) for sizes, _ in rows), strict=True)
    ends = [(min(axis), max(axis)) for axis in axes]
    text = " x ".join(f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in ends)
    return f"{len(rows)} spacings, {text} {rows[0][-1]}"


def _summary(counts: Mapping[str, int], limit: int = 4) -> str:
    """Values with how often they occur, the count left out where there is one value alone."""
    if len(counts) == 1:
        return next(iter(counts))
    shown = ", ".join(f"{value} ({number:,})" for value, number in list(counts.items())[:limit])
    return (shown + (f" and {len(counts) - limit:,} more" if len(counts) > limit else "")) or "none readable"


def _group_lines(inspection: Inspection) -> list[str]:
    groups, sizes = inspection.groups, list(inspection.groups.values())
    lines = [f"Groups: {len(groups):,} ({inspection.study.grouping})"]
    if 1 < len(groups) < len(inspection.study.cases):
        shown = ", ".join(f"{name} ({number})" for name, number in list(groups.items())[:12])
        more = f" and {len(groups) - 12:,} more" if len(groups) > 12 else ""
        lines += [f"  {min(sizes)} to {max(sizes)} cases each: {shown}{more}"]
    if inspection.splits:
        text = ", ".join(f"{name} {number:,}" for name, number in inspection.splits.items())
        lines.append(f"Given splits: {text}")
    return lines


def _target_lines(inspection: Inspection) -> list[str]:
    if not inspection.targets:
        return []
    study = inspection.study
    overlap = (
        f"they overlap in {inspection.overlap:,} pixels" if inspection.overlap else "they do not overlap"
    )
    how = "each pixel belongs to one at most" if study.exclusive else f"each has its own mask; {overlap}"
    width = max(6, *(len(row.name) for row in inspection.targets))
    code = max(9, *(len(row.encoding) for row in inspection.targets))
    lines = [f"Targets: {len(inspection.targets)}" + (f" ({how})" if len(inspection.targets) > 1 else "")]
    head = f"  {'target':{width}}  {'inside is':{code}}"
    lines.append(f"{head}  {'cases':>7}  {'empty':>7}  {'pixels':>15}  {'share':>7}")
    for row in inspection.targets:
        head = f"  {row.name:{width}}  {row.encoding:{code}}"
        lines.append(f"{head}  {row.annotated:7,}  {row.empty:7,}  {row.pixels:15,}  {row.share:7.2%}")
    return lines


def _class_lines(inspection: Inspection) -> list[str]:
    if not inspection.classes:
        return []
    kind = "one class an image" if inspection.study.exclusive else "several labels an image"
    lines = [f"Classes: {len(inspection.classes)} ({kind})"]
    width = max(len(row.name) for row in inspection.classes)
    for row in inspection.classes:
        splits = ", ".join(f"{name} {number:,}" for name, number in row.images.items())
        sizes = f"smallest {_size(row.smallest)}, largest {_size(row.largest)}, mean {_size(row.mean)}"
        lines.append(
            f"  {row.name:{width}}  {sum(row.images.values()):6,} images, {row.share:.1%} ({splits}); {sizes}"
        )
    return lines


def _shortcut_lines(inspection: Inspection) -> list[str]:
    if not inspection.shortcuts:
        return []
    lines = ["Label told without the picture (AUC, 0.5 is chance):"]
    for label in dict.fromkeys(item.label for item in inspection.shortcuts):
        text = ", ".join(
            f"{item.measure} {item.auc:.2f}" for item in inspection.shortcuts if item.label == label
        )
        lines.append(f"  {label}: {text}")
    return lines
