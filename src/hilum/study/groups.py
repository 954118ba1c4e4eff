"""Which cases belong together (patient, animal, slide): from a pattern, the table, or guessed from names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from hilum.errors import StudyError
from hilum.study.names import listed, stem
from hilum.study.study import Case, Study

OWN = (
    "every image its own group: no patient, animal or slide is told by the names; "
    "say --group-by REGEX if it is"
)
_WRONG = "say --group-by REGEX where that is wrong"
_KERMANY = re.compile(r"(?:^|/)(person\d+|(?:NORMAL\d*-)?IM-\d+)[-_]", re.IGNORECASE)
_NUMBER = re.compile(r"^(\d+)[-_]")
# Possessive: a run of letters is taken whole, or a name of many letters would take for ever.
_TOKEN = re.compile(r"^((?:[^\W\d_]++[-_ ]?)+\d+)[-_]")
_FOLDER = re.compile(r"[^\W\d_]*[-_ ]?\d+[^/]*|[^/]*\d+$")


def assign_groups(study: Study, group_by: str | None = None) -> Study:
    """The study with a group for every case.

    `group_by` is a regular expression, searched in the path relative to the study's folder: its first
    capture group, or all of the match, is the group. Without it the layout's or table's groups are kept,
    else they are guessed from names. Raises StudyError for a pattern that is not valid or does not match.
    """
    if group_by is not None:
        return _by_pattern(study, group_by)
    if any(case.group for case in study.cases):
        empty = [case.name for case in study.cases if not case.group]
        cases = tuple(case if case.group else replace(case, group=case.name) for case in study.cases)
        words = study.grouping + (f"; {len(empty)} without a group are their own" if empty else "")
        return replace(study, cases=cases, grouping=words)
    return _guessed(study)


def relative_path(study: Study, case: Case) -> str:
    """Path of a case's image below the study's folder, with slashes; inside an archive the case's name."""
    if case.image.index is not None:
        return case.name
    path = case.image.path
    return path.relative_to(study.root).as_posix() if path.is_relative_to(study.root) else path.as_posix()


def _by_pattern(study: Study, group_by: str) -> Study:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise StudyError(
            f"--group-by {group_by!r} is not a regular expression ({error}); "
            "for 12_KO_1.png write '([0-9]+)_'"
        ) from error
    matches = {case.name: pattern.search(relative_path(study, case)) for case in study.cases}
    missing = [
        name for name, match in matches.items() if match is None or not (match[min(1, pattern.groups)] or "")
    ]
    if missing:
        raise StudyError(
            f"--group-by {group_by!r} does not match {len(missing)} of {len(study.cases)} images: "
            f"{listed(missing)}; "
            "it is searched in paths such as " + relative_path(study, study.cases[0])
        )
    groups = {name: match[min(1, pattern.groups)] for name, match in matches.items() if match}
    cases = tuple(replace(case, group=groups[case.name]) for case in study.cases)
    return replace(study, cases=cases, grouping=f"--group-by {group_by} ({_example(cases)})")


def _guessed(study: Study) -> Study:
    """The first guess that fits every name decides; one that tells every image apart makes no groups."""
    guesses: tuple[tuple[str, int, Callable[[Case], str | None]], ...] = (
        ("the patient's number in the file name is the group", 1, lambda case: _match(_KERMANY, case, study)),
        *_folder_guess(study),
        ("the leading number of the file name is the group", 1, lambda case: _match(_NUMBER, case, None)),
        ("the first part of the file name is the group", 2, lambda case: _match(_TOKEN, case, None)),
    )
    for words, least, guess in guesses:
        groups = [guess(case) for case in study.cases]
        if not all(groups) or len(set(groups)) < least:
            continue
        cases = tuple(
            replace(case, group=group or "") for case, group in zip(study.cases, groups, strict=True)
        )
        if len(set(groups)) == len(groups):
            words = f"{words}, and every image has another"
        return replace(study, cases=cases, grouping=f"guessed: {words} ({_example(cases)}); {_WRONG}")
    alone = tuple(replace(case, group=case.name) for case in study.cases)
    return replace(study, cases=alone, grouping=OWN)


def _match(pattern: re.Pattern[str], case: Case, study: Study | None) -> str | None:
    """The group in the file's stem, or where a study is given in its path."""
    if case.image.index is not None:
        return None
    match = pattern.search(stem(case.image.path) if study is None else relative_path(study, case))
    return match[1] if match else None


def _folder_guess(study: Study) -> Sequence[tuple[str, int, Callable[[Case], str | None]]]:
    """Folders that carry a number and hold several cases, where every case lies in one at that depth."""
    if any(case.image.index is not None for case in study.cases):
        return ()
    folders = [relative_path(study, case).split("/")[:-1] for case in study.cases]
    for depth in range(min(map(len, folders), default=0)):
        names = Counter(parts[depth] for parts in folders)
        classes = {name.lower() for name in study.classes}
        if len(names) > 1 and all(_FOLDER.fullmatch(name) and name.lower() not in classes for name in names):
            return (("the numbered folder is the group", 2, partial(_folder, study, depth)),)
    return ()


def _folder(study: Study, depth: int, case: Case) -> str:
    return relative_path(study, case).split("/")[depth]


def _example(cases: Sequence[Case]) -> str:
    first = cases[0]
    return f"{first.name} -> {first.group}"
