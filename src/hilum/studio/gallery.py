"""The images of a study as rows of a gallery: what is known of each, sorted and filtered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hilum.studio.rounds import case_scores
from hilum.studio.view import View
from hilum.study.names import natural
from hilum.training.run import Run

POOR = 0.6
SORTS = {"name": "Name", "dice": "Dice, worst first", "group": "Group", "open": "Not annotated first"}
FILTERS = {"all": "All", "annotated": "Annotated", "open": "Not annotated", "flag": "To look at"}


@dataclass(frozen=True)
class Entry:
    """One image in the gallery. `dice` is its worst out-of-fold Dice, `flag` says why to look at it."""

    name: str
    group: str
    split: str
    annotated: tuple[str, ...]
    missing: tuple[str, ...]
    dice: float | None
    flag: str


def entries(view: View, targets: Sequence[str], run: Run | None) -> list[Entry]:
    """All images with what is known of them, in the study's order."""
    scores = case_scores(run)
    low = _low_end([min(of.values()) for of in scores.values()])
    named = {
        finding_case
        for finding in view.findings
        if finding.severity != "note"
        for finding_case in finding.cases
    }
    found, masks = [], view.kind == "masks"
    for case in view.cases:
        present = tuple(name for name in targets if name in case.masks)
        labels = tuple(name for name, value in case.labels.items() if value == 1)
        marks = (f"{len(case.marks)} nodules",) if case.marks else ()
        dice = min(scores[case.name].values()) if case.name in scores else None
        missing = tuple(name for name in targets if name not in case.masks) if masks else ()
        flag = _flag(dice, low, case.name in named, bool(view.study.classes))
        found.append(
            Entry(case.name, case.group, case.split or "", (*present, *labels, *marks), missing, dice, flag)
        )
    return found


def _flag(dice: float | None, low: float, named: bool, labels: bool) -> str:
    if dice is not None and labels:
        return "wrong label?" if dice < 0.5 else ""
    if dice is not None and (dice < POOR or dice < low):
        return "model fails here"
    return "see warning" if named else ""


def _low_end(values: Sequence[float]) -> float:
    """Below this a Dice stands out: the lower quartile less one and a half times their spread."""
    if len(values) < 4:
        return 0.0
    ordered = sorted(values)
    first, third = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    return first - 1.5 * (third - first)


def arranged(found: Sequence[Entry], sort: str = "name", keep: str = "all", text: str = "") -> list[Entry]:
    """Entries that are wanted, in the wanted order.

    >>> one = Entry("a", "1", "", ("nerve",), (), 0.9, "")
    >>> two = Entry("b", "2", "", (), ("nerve",), None, "")
    >>> [e.name for e in arranged([one, two], "open")]
    ['b', 'a']
    """
    word = text.strip().lower()
    chosen = [
        one for one in found if _wanted(one, keep) and word in f"{one.name} {one.group} {one.split}".lower()
    ]
    keys: Mapping[str, Callable[[Entry], Any]] = {
        "dice": lambda one: (one.dice is None, one.dice or 0.0),
        "group": lambda one: (natural(one.group), natural(one.name)),
        "open": lambda one: bool(one.annotated),
        "name": lambda one: natural(one.name),
    }
    return sorted(chosen, key=keys.get(sort, keys["name"]))


def _wanted(one: Entry, keep: str) -> bool:
    if keep in ("annotated", "open"):
        return bool(one.annotated) == (keep == "annotated")
    return bool(one.flag) if keep == "flag" else True
