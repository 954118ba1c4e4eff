"""Which of two classes is looked for, and which is its absence, by what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hilum.study.study import Finding, Study

_HEALTHY = frozenset(
    [
        "normal",
        "negative",
        "neg",
        "healthy",
        "well",
        "control",
        "controls",
        "none",
        "absent",
        "benign",
        "no",
        "false",
        "0",
        "unaffected",
        "uninfected",
        "uninjured",
        "uninvolved",
        "notumor",
        "notumour",
        "nofinding",
    ]
)
_FIRST = ("no ", "non ", "not ", "without ", "normal ", "healthy ")
_DENIED = re.compile(r"(?:non|not|no|un)(.{2,})")


def ordered_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Two classes with the healthy one first, so that the last is what is looked for; others as they are.

    >>> ordered_classes(["malignant", "normal or benign"]), ordered_classes(["TB", "noTB"])
    (('normal or benign', 'malignant'), ('noTB', 'TB'))
    """
    if len(classes) == 2 and _healthy(classes[1], classes[0]) and not _healthy(classes[0], classes[1]):
        return classes[1], classes[0]
    return tuple(classes)


def looked_for(classes: Sequence[str]) -> Finding:
    """Which of two classes that exclude each other is looked for, a warning where no word tells it."""
    absent, wanted = ordered_classes(classes)
    otherwise = f"(else --set data.outputs=[{absent}])"
    if _healthy(absent, wanted) and not _healthy(wanted, absent):
        return Finding("note", f"looked for: {wanted} {otherwise}")
    words = f"looked for: {wanted} {otherwise}; no word in the names tells which class is the healthy one"
    return Finding("warning", words)


def looked_for_findings(study: Study) -> tuple[Finding, ...]:
    """What is looked for where a study has two classes that exclude each other."""
    return (looked_for(study.classes),) if study.exclusive and len(study.classes) == 2 else ()


def _healthy(name: str, other: str) -> bool:
    """Whether a class is called healthy, or the absence of the other one."""
    words = re.sub(r"[\W_]+", " ", name.lower()).strip()
    if words in _HEALTHY or words.replace(" ", "") in _HEALTHY or words.startswith(_FIRST):
        return True
    if name.endswith("-") and other == f"{name[:-1]}+":
        return True
    denied, told = _DENIED.fullmatch(words.replace(" ", "")), re.sub(r"[\W_]+", "", other.lower())
    return denied is not None and bool(told) and (denied[1] in told or told in denied[1])
