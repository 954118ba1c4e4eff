"""The door: a folder becomes a Study, checked once."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hilum.errors import StudyError
from hilum.study.check import check_study, error_text, without_bad
from hilum.study.encodings import resolve_encodings
from hilum.study.fields import with_fields
from hilum.study.groups import assign_groups
from hilum.study.inputs import sources_of, with_data
from hilum.study.layouts.registry import recognise
from hilum.study.listing import Listing, list_folder
from hilum.study.names import counted, listed, stem
from hilum.study.splits import split_groups
from hilum.study.study import Finding, Study

THOROUGH_BYTES = 400_000_000
# Where a study is larger, not every image of it is looked at.
SURVEYED_BYTES = 8_000_000_000
log = logging.getLogger(__name__)


def open_study(
    folder: Path | str,
    group_by: str | None = None,
    skip_bad: bool = False,
    thorough: bool | None = None,
) -> Study:
    """A folder (or a table, or an npz) as a study, every case checked.

    `group_by` is a regular expression for the group in the file's path. `thorough` decodes every file;
    None does so where they are at most 400 MB together. With `skip_bad` bad cases are left out with a
    warning each. Raises StudyError that lists all bad cases, or says which layouts are understood.
    """
    study = understand(folder, group_by)
    whole = total_bytes(study) <= THOROUGH_BYTES if thorough is None else thorough
    findings = check_study(study, thorough=whole)
    errors = [finding for finding in (*study.findings, *findings) if finding.severity == "error"]
    if errors and not skip_bad:
        raise StudyError(error_text(study.root, errors))
    rest = tuple(finding for finding in findings if finding.severity != "error")
    study = replace(study, findings=tuple(f for f in study.findings if f.severity != "error") + rest)
    return without_bad(study, errors) if errors else study


def understand(folder: Path | str, group_by: str | None = None) -> Study:
    """A folder as a study with encodings, groups and splits, its cases not yet checked.

    Raises StudyError where no layout is recognised or `group_by` does not fit.
    """
    listing = list_folder(Path(folder))
    study = recognise(listing)
    study = resolve_encodings(with_fields(assign_groups(study, group_by)))
    study = _real_splits(study)
    found = (*_results(listing), *_unused(listing, study), *_shared_groups(study))
    return replace(study, findings=(*study.findings, *found))


def _results(listing: Listing) -> tuple[Finding, ...]:
    """A note on folders of Hilum's own results, which are no images of the study."""
    if not listing.results:
        return ()
    names = listed(f"{folder.as_posix()}/" for folder in listing.results)
    return (Finding("note", f"results of Hilum, left out: {names}; give such a folder alone to look at it"),)


def _real_splits(study: Study) -> Study:
    """Splits kept only where there are two: all cases in `train` are not split.

    What lies in a folder to predict and is annotated all the same is a case as any other.
    """
    if any(case.split == "predict" for case in study.cases):
        cases = (replace(case, split=None) if case.split == "predict" else case for case in study.cases)
        study = replace(study, cases=tuple(cases))
    if len({case.split for case in study.cases}) > 1:
        return study
    return replace(study, cases=tuple(replace(case, split=None) for case in study.cases))


def _shared_groups(study: Study) -> tuple[Finding, ...]:
    shared = split_groups(study)
    if not shared:
        return ()
    chosen = set(shared)
    words = (
        f"{counted(len(shared), 'group')} in more than one of the given splits: {listed(shared)}. Scores "
        "on these splits would be too good; folds are made anew by group"
    )
    return (Finding("warning", words, tuple(case.name for case in study.cases if case.group in chosen)),)


def _unused(listing: Listing, study: Study) -> tuple[Finding, ...]:
    """A note on images that the layout did not take up, by folder; slices of a scan's folder are taken."""
    if study.root != listing.root:
        return ()
    named = {name for finding in study.findings for name in finding.cases}
    used = {source.path for case in (*study.cases, *study.unannotated) for source in sources_of(case)}
    folders: dict[PurePosixPath, int] = {}
    for path in listing.images:
        whole = listing.path(path)
        if used.isdisjoint((whole, *whole.parents)) and stem(path) not in named:
            folders[path.parent] = folders.get(path.parent, 0) + 1
    if not folders:
        return ()
    names = listed(f"{folder.as_posix()}/ ({number})" for folder, number in folders.items())
    words = f"{counted(sum(folders.values()), 'image file')} not part of this layout, left out: {names}"
    return (Finding("note", words + "; give such a folder alone to look at it"),)


def total_bytes(study: Study) -> int:
    """Bytes of all files of a study together, the data files of detached headers included."""
    paths = {source.path for case in study.cases for source in sources_of(case)}
    files = {file for path in paths for file in with_data(path)}
    return sum(file.stat().st_size for file in files if file.is_file())
