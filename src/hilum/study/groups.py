"""Which cases belong together (patient, animal, slide): from a pattern, the table, or guessed from names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from hilum.errors import StudyError
from hilum.study.name_words import IMAGE, MAGNIFIED, PART, ROUND, SLIDE, TIME, WHO
from hilum.study.names import (
    counted,
    is_image_word,
    is_mask_word,
    listed,
    split_word,
    stem,
    without_mask_suffix,
    without_scale,
)
from hilum.study.study import Case, Finding, Study

OWN = (
    "every image its own group: no patient, animal or slide is told by the names; "
    "say --group-by REGEX if it is"
)
_WRONG = "say --group-by REGEX where that is wrong"
_KERMANY = re.compile(r"(?:^|/)(person\d+|(?:NORMAL\d*-)?IM-\d+)[-_]", re.IGNORECASE)
_NUMBER = re.compile(r"^(\d+)[-_ ]")
# Possessive: a run of letters is taken whole, or a name of many letters would take for ever.
_TOKEN = re.compile(r"^((?:[^\W\d_]++[-_ ]?)+\d+)[-_ ]")
_FOLDER = re.compile(r"[^\W\d_]*[-_ ]?\d+[^/]*|[^/]*\d+$")
_END = r"(?:[-_ ]|$)"
# The same patient comes frame after frame, animal week after week: what comes after says whose image it is.
# A bare number before a slide may be the patient's; a letter and a small number may be a place.
_LATER = tuple(
    (f"the part of the file name after the {words} is the group", re.compile(pattern, re.IGNORECASE))
    for words, pattern in (
        ("number, week or frame", rf"^(?:(?:{PART}|{TIME}|{IMAGE}|\d+)[-_ ])++({WHO}){_END}"),
        ("image or tile", rf"^(?:(?:{PART}|{IMAGE})[-_ ])++({SLIDE}){_END}"),
        (
            "tile, frame or copy",
            rf"^(?:{PART}[-_ ])++"
            rf"((?!{PART}|{TIME})(?:[^\W\d_]{{2,}}+[-_ ]?\d+|[^\W\d_xyztrc]\d{{3,}})){_END}",
        ),
        (
            "week, day or batch",
            rf"^(?:{TIME}[-_ ])++((?!{IMAGE}|{PART}|[ptz][-_ ]?\d)(?:[^\W\d_]++[-_ ]?)+\d+)[-_ ]",
        ),
    )
)
_ANYWHERE = re.compile(rf"(?<![^\W_])({WHO}){_END}", re.IGNORECASE)
_HEAD = re.compile(r"^(?:[^\W\d_]++[-_ ]?)*\d+[-_ ]")
# A guess that fits so many names is taken, and one that fits as many as this is told of.
_MOSTLY = 0.8
_NEAR = 0.5
# Folders of images with masks that name a finding, a treatment or a view, and no patient.
_KINDS = re.compile(
    r"(?:(?:ab)?normal|healthy|ill|sick|diseased?|pos(?:itive)?|neg(?:ative)?|benign|malignant|cancer|tumou?r"
    r"|lesion|nodule|cyst|pneumonia|covid(?:-19)?|bacteria|bacterial|virus|viral|case|patient|control"
    r"|(?:un)?treated|treatment|sham|vehicle|placebo|wt|ko|wild[-_ ]?type|knock[-_ ]?out"
    r"|left|right|axial|coronal|sagittal|frontal|lateral|male|female|other)s?"
)


@dataclass(frozen=True)
class _Guess:
    """A guess in words, the groups that it must make at least, and the group of every case, if it has one."""

    words: str
    least: int
    groups: tuple[str | None, ...]

    @property
    def fitting(self) -> tuple[str, ...]:
        return tuple(group for group in self.groups if group)

    @property
    def whole(self) -> bool:
        return all(self.groups) and len(set(self.groups)) >= self.least

    def fits(self, share: float) -> bool:
        """Whether it fits such a share of the names, and makes several groups, some of several images."""
        fitting = self.fitting
        return len(fitting) >= share * len(self.groups) and 1 < len(set(fitting)) < len(fitting)


def assign_groups(study: Study, group_by: str | None = None) -> Study:
    """The study with a group for every case.

    `group_by` is a regular expression, searched in the path relative to the study's folder: its first
    capture group, or all of the match, is the group. Without it the layout's or table's groups are kept,
    else they are guessed from names. Groups that differ in case and separators alone are warned of.
    Raises StudyError for a pattern that is not valid or does not match.
    """
    grouped = _assigned(study, group_by)
    return replace(grouped, findings=(*grouped.findings, *_spellings(grouped)))


def _assigned(study: Study, group_by: str | None) -> Study:
    if group_by is not None:
        return _by_pattern(study, group_by)
    if any(case.group for case in study.cases):
        empty = [case.name for case in study.cases if not case.group]
        cases = tuple(case if case.group else replace(case, group=case.name) for case in study.cases)
        words = study.grouping + (f"; {len(empty)} without a group are their own" if empty else "")
        return replace(study, cases=cases, grouping=words)
    return _guessed(study)


def _spellings(study: Study) -> tuple[Finding, ...]:
    """A warning of each group that may be a larger one spelled otherwise; images alone are no groups."""
    sizes = Counter(case.group for case in study.cases if case.group != case.name)
    first: dict[str, str] = {}
    findings = []
    for name, number in sizes.most_common():
        larger = first.setdefault(re.sub(r"[\W_]+", " ", name).strip().casefold(), name)
        if larger != name:
            words = (
                f"groups {larger!r} and {name!r} ({counted(sizes[larger], 'image')} and {number}) may be one "
                f"spelled in two ways, and lie on both sides of a fold: if they are, write {larger!r} in "
                "both places"
            )
            findings.append(
                Finding("warning", words, tuple(case.name for case in study.cases if case.group == name))
            )
    return tuple(findings)


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
    """The first guess that fits every name decides, else the first that fits most of them.

    One that fits every name and tells every image apart makes no groups.
    """
    guesses = tuple(_guesses(study))
    whole = (guess for guess in guesses if guess.whole)
    chosen = next(whole, None) or next((guess for guess in guesses if guess.fits(_MOSTLY)), None)
    if chosen is not None:
        return _taken(study, chosen)
    alone = tuple(replace(case, group=case.name) for case in study.cases)
    return replace(study, cases=alone, grouping=OWN, findings=(*study.findings, *_near(study, guesses)))


def _taken(study: Study, guess: _Guess) -> Study:
    cases = tuple(
        replace(case, group=group or case.name) for case, group in zip(study.cases, guess.groups, strict=True)
    )
    words = guess.words
    if len(set(guess.groups)) == len(cases):
        words = f"{words}, and every image has another"
    example = _example([case for case, group in zip(cases, guess.groups, strict=True) if group])
    return replace(
        study,
        cases=cases,
        grouping=f"guessed: {words} ({example}); {_WRONG}",
        findings=(*study.findings, *_odd(study, guess), *_parted(cases)),
    )


def _odd(study: Study, guess: _Guess) -> tuple[Finding, ...]:
    """A warning of the images that a guess does not fit: whose they are is not known."""
    odd = _without_group(study, guess)
    if not odd:
        return ()
    words = (
        f"groups: {guess.words}; {len(odd)} of {len(study.cases)} images without one count each by itself: "
        f"{listed(odd)}; rename such files as the others, or say --group-by REGEX"
    )
    return (Finding("warning", words, odd),)


def _parted(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """A warning of patients or animals that the names of several guessed groups hold."""
    groups: dict[str, dict[str, None]] = {}
    for case in cases:
        for who in _ANYWHERE.findall(case.name.rpartition("/")[2]):
            groups.setdefault(who.casefold(), {})[case.group] = None
    parted = [who for who, among in groups.items() if len(among) > 1]
    if not parted:
        return ()
    first = parted[0]
    words = (
        f"groups: {listed(parted, 3)} {'is' if len(parted) == 1 else 'are'} in the names of several guessed "
        f"groups (such as {listed(groups[first], 3)}), and may lie on both sides of a fold: if these are the "
        "same patient or animal, say --group-by REGEX"
    )
    return (Finding("warning", words),)


def _near(study: Study, guesses: Sequence[_Guess]) -> tuple[Finding, ...]:
    """A warning of the nearest guess where none fits enough names: folds may part a patient."""
    nearest = max(
        (guess for guess in guesses if guess.fits(_NEAR)), key=lambda guess: len(guess.fitting), default=None
    )
    if nearest is None:
        return ()
    odd = _without_group(study, nearest)
    words = (
        f"every image is its own group: a guess ({nearest.words}) fits {len(nearest.fitting)} of "
        f"{len(study.cases)} images only, not {listed(odd)}; if it is right, rename these as the others, or "
        "say --group-by REGEX"
    )
    return (Finding("warning", words, odd),)


def _without_group(study: Study, guess: _Guess) -> tuple[str, ...]:
    return tuple(case.name for case, group in zip(study.cases, guess.groups, strict=True) if not group)


def _guesses(study: Study) -> Iterator[_Guess]:
    """Guesses in the order in which they are tried."""
    paths = [None if case.image.index is not None else relative_path(study, case) for case in study.cases]
    if None in paths:
        return
    whole = [path or "" for path in paths]
    stems = [stem(path) for path in whole]
    plain = list(_plain_folders(study, whole))
    # Names that begin anew in every folder number the frames of a patient, not patients.
    anew = len(set(stems)) < len(stems)
    yield _matching("the patient's number in the file name is the group", 1, _KERMANY, whole)
    yield from _numbered_folders(study, whole)
    yield from plain if anew else ()
    # What all names begin with tells nobody from another.
    yield from (guess for guess in _named(_without_head(stems), "next", 2) if guess.fits(1))
    yield from _named(stems, "first", 1)
    yield from () if anew else plain


def _named(stems: Sequence[str], first: str, least: int) -> Iterator[_Guess]:
    """Guesses from the names of files: whom they name after numbers of frames, else their first part."""
    for words, pattern in _LATER:
        yield _matching(words, 2, pattern, stems)
    number = "leading" if first == "first" else first
    yield _matching(f"the {number} number of the file name is the group", least, _NUMBER, stems)
    yield _matching(f"the {first} part of the file name is the group", 2, _TOKEN, stems)


def _without_head(stems: Sequence[str]) -> list[str]:
    """The names without the numbered parts that all of them begin with; none where there are no such."""
    rests = list(stems)
    while len(heads := {match[0] if (match := _HEAD.match(rest)) else "" for rest in rests}) == 1:
        head = heads.pop()
        if not head:
            break
        rests = [rest.removeprefix(head) for rest in rests]
    return rests if rests != list(stems) else []


def _matching(words: str, least: int, pattern: re.Pattern[str], names: Sequence[str]) -> _Guess:
    matches = map(pattern.search, names)
    return _Guess(words, least, tuple(match[1] if match else None for match in matches))


def _numbered_folders(study: Study, paths: Sequence[str]) -> Iterator[_Guess]:
    """Folders that carry a number, at each depth, unless it is that of a day, a visit or a part."""
    classes = {name.lower() for name in study.classes}
    for names in _by_depth(paths):
        yield _Guess(
            "the numbered folder is the group",
            2,
            tuple(
                name if name and _is_numbered(name) and name.lower() not in classes else None
                for name in names
            ),
        )


def _is_numbered(folder: str) -> bool:
    elsewhere = ROUND.fullmatch(folder) or MAGNIFIED.fullmatch(folder)
    return bool(_FOLDER.fullmatch(folder)) and not elsewhere


def _plain_folders(study: Study, paths: Sequence[str]) -> Iterator[_Guess]:
    """Folders without a number that hold several cases each and are not named for what is in the images.

    The outermost such folder is taken: what lies in it stays together.
    """
    known = {name.lower() for name in (*study.classes, *study.targets)}
    for names in _by_depth(paths):
        sizes = Counter(name for name in names if name)
        several = sum(number for number in sizes.values() if number > 1)
        if (
            len(sizes) > 1
            and several >= _MOSTLY * len(paths)
            and not any(_says(name, known) for name in sizes)
        ):
            yield _Guess("the folder is the group", 2, tuple(names))


def _says(folder: str, known: Collection[str]) -> bool:
    """Whether a folder is named for a split, a class, a target, a time, images or masks, and for nobody."""
    plain = without_scale(folder).lower()
    kind = _KINDS.fullmatch(plain) or ROUND.fullmatch(plain) or MAGNIFIED.fullmatch(plain)
    words = plain in known or kind is not None or split_word(plain) is not None
    return words or is_image_word(plain) or is_mask_word(plain) or without_mask_suffix(plain) is not None


def _by_depth(paths: Sequence[str]) -> Iterator[list[str | None]]:
    """The folder of every path at each depth, None where a path is not that deep."""
    folders = [path.split("/")[:-1] for path in paths]
    for depth in range(max(map(len, folders), default=0)):
        yield [parts[depth] if depth < len(parts) else None for parts in folders]


def _example(cases: Sequence[Case]) -> str:
    first = cases[0]
    return f"{first.name} -> {first.group}"
