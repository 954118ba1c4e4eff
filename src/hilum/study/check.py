"""Every case checked at the door: all that is wrong is listed at once, by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from hilum.errors import HilumError, StudyError
from hilum.image.readers import Header, probe
from hilum.study.masks import fitted_spacing, misfit
from hilum.study.names import counted, listed
from hilum.study.study import Case, Finding, Source, Study
from hilum.study.survey import check_marks, check_names, survey_study

LEAST_IN_CLASS = 3
_WORKERS = 4
log = logging.getLogger(__name__)


def check_study(study: Study, thorough: bool = False) -> tuple[Finding, ...]:
    """Findings about every case: files that fail, sizes that differ, small classes, empty targets.

    Reads headers; with `thorough` decodes every file, in which truncated ones and empty targets show.
    Severity "error" stops the verbs unless bad cases are skipped.
    """
    if thorough:
        survey = survey_study(study)
        problems: Iterable[Finding] = survey.problems
        pixels = {name: facts.pixels for name, facts in survey.facts.items()}
        empties = empty_findings(study, pixels)
    else:
        problems = check_cases(study.cases)
        empties = ()
    return (*problems, *empties, *class_findings(study))


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
            check_marks(case, image.shape, image.spacing, image.geometry)
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


def empty_findings(study: Study, pixels: dict[str, dict[str, int]]) -> tuple[Finding, ...]:
    """Targets without a single pixel: in some cases a note, in all of them an error."""
    findings = []
    for target in study.targets:
        counts = {name: of_case[target] for name, of_case in pixels.items() if target in of_case}
        empty = tuple(name for name, number in counts.items() if number == 0)
        if counts and len(empty) == len(counts):
            words = f"{target}: no pixel in any of {counted(len(counts), 'mask')}: there is nothing to learn"
            findings.append(Finding("error", words))
        elif empty:
            words = f"{target} is empty in {counted(len(empty), 'case')}: {listed(empty)}"
            findings.append(Finding("note", words, empty))
    return tuple(findings)


def class_findings(study: Study) -> tuple[Finding, ...]:
    """Classes with too few images to train, watch and score on, and classes that every known image has."""
    findings = []
    for name in study.classes:
        has = tuple(case.name for case in study.cases if case.labels.get(name) == 1.0)
        not_has = tuple(case.name for case in study.cases if case.labels.get(name) == 0.0)
        told_by_another = study.exclusive and len(study.classes) > 1
        few, sign = (has, "") if told_by_another or len(has) <= len(not_has) else (not_has, "without ")
        if len(few) < LEAST_IN_CLASS:
            words = (
                f"class {name}: {counted(len(few), 'image')} {sign}{'it' if sign else 'only'}; at least "
                f"{LEAST_IN_CLASS} are needed to train, to watch and to score on"
                f"{f' ({listed(few)})' if few else ''}"
            )
            findings.append(Finding("error", words, few if not sign else ()))
    return tuple(findings)


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
    dead = {
        target for target in study.targets if any(f.message.startswith(f"{target}: no pixel") for f in errors)
    }
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
