"""The classes of another folder under the names that a run knows them by."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import replace

from hilum.study.names import counted, listed
from hilum.study.study import Study

logger = logging.getLogger(__name__)


def with_known_classes(study: Study, known: Sequence[str]) -> Study:
    """The study with classes spelled as in `known` where they differ in case and blanks alone.

    That is told; so is, as a warning, how many images are of classes that are not known.
    """
    plain = {_plain(name): name for name in known}
    names = {name: plain.get(_plain(name), name) for name in study.classes}
    if len(set(names.values())) < len(names):  # two spellings beside one another are two classes
        names = {name: name for name in names}
    renamed = [f"{name} as {now}" for name, now in names.items() if name != now]
    if renamed:
        logger.info("%s: classes are taken by the run's names: %s", study.root, listed(renamed))
    cases = tuple(
        replace(case, labels={names.get(name, name): value for name, value in case.labels.items()})
        for case in study.cases
    )
    found = replace(study, cases=cases, classes=tuple(names.values()))
    _tell_unknown(found, known)
    return found


def _tell_unknown(study: Study, known: Sequence[str]) -> None:
    unknown = [name for name in study.classes if name not in known]
    number = sum(any(case.labels.get(name) == 1 for name in unknown) for case in study.cases)
    if not known or not study.exclusive or not number:
        return
    near = [
        f"{name} (did you mean {close[0]}?)" if (close := difflib.get_close_matches(name, known, 1)) else name
        for name in unknown
    ]
    logger.warning(
        "%s: %s of classes that the run does not know, %s, and not scored; it knows %s: rename them where "
        "they are one of these",
        study.root,
        counted(number, "image is", "images are"),
        listed(near),
        listed(known),
    )


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
