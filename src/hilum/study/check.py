"""Every case checked at the door: all that is wrong is listed at once, by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from hilum.errors import HilumError, StudyError
from hilum.image.readers import Header, probe
from hilum.image.tiff_colours import FOURTH_LEFT_OUT
from hilum.study.areas import area_findings
from hilum.study.masks import fitted_spacing, misfit
from hilum.study.names import counted, listed
from hilum.study.splits import split_groups
from hilum.study.study import Case, Finding, Source, Study
from hilum.study.survey import Facts, check_marks_inside, check_names, survey_study

LEAST_IN_CLASS = 3
_WORKERS = 4
_ALIKE = 0.75
log = logging.getLogger(__name__)


def check_study(study: Study, thorough: bool = False) -> tuple[Finding, ...]:
    """Findings about every case: files that fail, sizes that differ, small classes, empty targets.

    Reads headers; with `thorough` decodes every file, in which truncated ones and empty targets show.
    Severity "error" stops the verbs unless bad cases are skipped.
    """
    if thorough:
        survey = survey_study(study)
        problems: Iterable[Finding] = survey.problems
        areas = (*area_findings(study, survey.facts), *_lost_channels(survey.facts))
    else:
        problems = check_cases(study.cases)
        areas = ()
    return (*problems, *areas, *class_findings(study))


def _lost_channels(facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """A warning, told at once too, of a fourth channel that was left out and may have been measured."""
    names = tuple(name for name, seen in facts.items() if FOURTH_LEFT_OUT in seen.notes)
    if not names:
        return ()
    finding = Finding("warning", f"{FOURTH_LEFT_OUT}, in {counted(len(names), 'image')}", names)
    log.warning("%s", finding.message)
    return (finding,)


def check_cases(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """Errors in the headers of cases, those of all their files."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return tuple(finding for found in pool.map(_check_case, cases) for finding in found)


def _check_case(case: Case) -> tuple[Finding, ...]:
    """Errors in the headers of one case: all of its files, not only the first that fails."""
    messages: list[str] = []
    image = _probed(case.image, messages)
    masks = (source for mask in case.masks.values() for source in mask.sources)
    for source in dict.fromkeys((*case.channels, *masks)):
        other = _probed(source, messages)
        if image and other and (message := misfit(case, source, image, other)):
            messages.append(message)
    try:
        check_names(case)
        fitted_spacing(case, len(image.shape) if image else 2)
        if image:
            check_marks_inside(case, image.shape, image.spacing, image.geometry)
    except StudyError as error:
        messages.append(str(error))
    return tuple(Finding("error", message, (case.name,)) for message in messages)


def _probed(source: Source, messages: list[str]) -> Header | None:
    if source.index is not None and source.path.suffix.lower() == ".npz":
        return None
    try:
        return probe(source.path, source.entry, source.index)
    except HilumError as error:
        messages.append(str(error))
        return None


def class_findings(study: Study) -> tuple[Finding, ...]:
    """Classes of one name, those with too few images to learn and score, and those that every image has."""
    images = {name: _having(study, name, 1.0) for name in study.classes}
    other = _spellings(images)
    findings = [_spelled(name, other[name], images) for name in study.classes if name in other]
    for name in study.classes:
        has, not_has = images[name], _having(study, name, 0.0)
        told_by_another = study.exclusive and len(study.classes) > 1
        few, sign = (has, "") if told_by_another or len(has) <= len(not_has) else (not_has, "without ")
        if len(few) < LEAST_IN_CLASS and name not in other:
            meant = _meant(name, images) if not sign else ""
            words = (
                f"class {name}: {counted(len(few), 'image')} {sign}{'it' if sign else 'only'}; at least "
                f"{LEAST_IN_CLASS} are needed to train, to watch and to score on"
                f"{f' ({listed(few)})' if few else ''}{f'; did you mean {meant}?' if meant else ''}"
            )
            findings.append(Finding("error", words, few if not sign else ()))
        elif has and _only_in_test(study, has):
            words = (
                f"class {name}: all of its {counted(len(has), 'image')} lie in test/, none to train on "
                f"({listed(has)}); move some to train/, or images without a class out of the study's folder"
            )
            findings.append(Finding("error", words, has))
    return tuple(findings)


def _only_in_test(study: Study, names: Sequence[str]) -> bool:
    """Whether these cases are all of the given test set, where another split is to train on and is kept."""
    if "train" not in {case.split for case in study.cases} or split_groups(study):
        return False
    return {study.by_name[name].split for name in names} == {"test"}


def _having(study: Study, name: str, value: float) -> tuple[str, ...]:
    return tuple(case.name for case in study.cases if case.labels.get(name) == value)


def _spellings(images: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Classes that differ from a larger one in case and blanks at their ends alone, with that one."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in sorted(images, key=lambda name: -len(images[name])):
        larger = first.setdefault(name.strip().casefold(), name)
        found |= {name: larger} if larger != name else {}
    return found


def _spelled(name: str, larger: str, images: Mapping[str, tuple[str, ...]]) -> Finding:
    sizes = f"{counted(len(images[larger]), 'image')} and {len(images[name])}"
    words = (
        f"classes {larger!r} and {name!r} ({sizes}) are one word spelled in two ways: write {larger!r} in "
        "both places, or give them names that differ"
    )
    return Finding("error", words, images[name])


def _meant(name: str, images: Mapping[str, Sequence[str]]) -> str:
    """The class of enough images that a rare one is most like; numbers, as of grades, are no slips."""
    digits = re.sub(r"\D", "", name)
    plain = {
        other.casefold(): other
        for other in images
        if len(images[other]) >= LEAST_IN_CLASS and re.sub(r"\D", "", other) == digits
    }
    close = get_close_matches(name.casefold(), plain, n=1, cutoff=_ALIKE)
    return plain[close[0]] if close else ""


def group_findings(study: Study) -> tuple[Finding, ...]:
    """All images of one patient, animal or slide: folds can then be made over images alone."""
    groups = {case.group for case in study.cases}
    if len(groups) > 1 or len(study.cases) < 2:
        return ()
    words = (
        f"all {counted(len(study.cases), 'image')} belong to one group ({groups.pop()}): folds are made over "
        "images, and the scores say nothing about another patient; if that is not so, say --group-by REGEX"
    )
    return (Finding("warning", words),)


def error_text(root: Path | str, errors: Sequence[Finding], limit: int = 50) -> str:
    """One message with all errors below a folder, and what to type next; one error takes one line."""
    if len(errors) == 1:
        where = "" if str(root) in errors[0].message else f"{root}: "
        return f"{where}{errors[0].message}; mend it, or say --skip-bad to leave such cases out"
    lines = [f"  {finding.message}" for finding in errors[:limit]]
    lines += [f"  and {len(errors) - limit} more"] if len(errors) > limit else []
    head = f"{root}: {counted(len(errors), 'problem')} found"
    return "\n".join([f"{head}; mend them, or say --skip-bad to leave these cases out", *lines])


def without_bad(study: Study, errors: Sequence[Finding]) -> Study:
    """The study without the cases, targets and classes that have errors; each is named in a warning.

    Raises StudyError where nothing is left.
    """
    bad = {name for finding in errors for name in finding.cases}
    cases = tuple(case for case in study.cases if case.name not in bad)
    for finding in errors:
        log.warning("left out: %s", finding.message)
    warned = tuple(
        replace(finding, severity="warning", message=f"left out: {finding.message}") for finding in errors
    )
    if not cases:
        raise StudyError(error_text(study.root, errors) + "\n  without them no case is left")
    return _without_unused(replace(study, cases=cases, findings=study.findings + warned), errors)


def _without_unused(study: Study, errors: Sequence[Finding]) -> Study:
    """Targets and classes that have nothing to learn left out of a study, too."""
    dead = {target for finding in errors for target in finding.targets}
    targets = tuple(target for target in study.targets if target not in dead)
    classes = tuple(
        name for name in study.classes if any(case.labels.get(name) == 1.0 for case in study.cases)
    )
    if (study.targets and not targets) or (study.classes and len(classes) < 1 + study.exclusive):
        raise StudyError(error_text(study.root, errors) + "\n  without them nothing is left to learn")
    cases = tuple(
        replace(
            case,
            masks={name: mask for name, mask in case.masks.items() if name not in dead},
            labels={name: value for name, value in case.labels.items() if name in classes},
        )
        for case in study.cases
    )
    return replace(study, cases=cases, targets=targets, classes=classes)
