"""Layout: volumes with a table of marks, as LUNA16 (`subset0/*.mhd`) and Tianchi (`train_subset00/*.mhd`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hilum.errors import StudyError
from hilum.image.readers import VOLUME_SUFFIXES
from hilum.study.listing import Listing
from hilum.study.mark_tables import EXCLUDED, read_marks
from hilum.study.names import (
    counted,
    listed,
    split_word,
    stem,
    suffix,
    unique_names,
)
from hilum.study.study import Case, Finding, Mark, Source, Study

_NAME = re.compile(r"annotations?(?!.*excluded)", re.IGNORECASE)
_EXCLUDED = re.compile(r"annotations?.*excluded", re.IGNORECASE)
_GROUPING = "every scan its own group; --group-by 'subset([0-9]+)' keeps the folds of a challenge's subsets"


def recognise(listing: Listing) -> Study | None:
    """The study of volumes whose file stems are the `seriesuid` of `annotations.csv` (x, y, z in mm)."""
    volumes = [path for path in listing.images if suffix(path) in VOLUME_SUFFIXES]
    tables = [path for path in listing.files if suffix(path) == ".csv" and _NAME.match(path.name)]
    if not volumes or not tables:
        return None
    marks: dict[str, list[Mark]] = {}
    for table in tables:
        for series, read in read_marks(listing.path(table)).items():
            marks.setdefault(series, []).extend(read)
    ignored = _ignored(listing)
    if not marks:
        raise StudyError(
            f"{listing.path(tables[0])}: holds no mark for the {counted(len(volumes), 'volume')} beside it; "
            "fill it, or take it away"
        )
    splits = {_split(path) for path in volumes if stem(path) in marks}
    chosen = [path for path in volumes if _split(path) in splits]
    names = unique_names([(*path.parts[:-1], stem(path)) for path in chosen])
    cases = tuple(
        Case(
            name,
            Source(listing.path(path)),
            marks=(*marks.get(stem(path), ()), *ignored.get(stem(path), ())),
            group=name,
            split=_split(path),
        )
        for name, path in zip(names, chosen, strict=True)
    )
    findings = _findings(volumes, chosen, marks, tables)
    layout = "volumes with marks"
    return Study(listing.root, layout, cases, ("nodule",), grouping=_GROUPING, findings=findings)


def _ignored(listing: Listing) -> dict[str, list[Mark]]:
    """Irrelevant findings of each series (`annotations_excluded.csv`), which are neither right nor wrong."""
    found: dict[str, list[Mark]] = {}
    for table in listing.files:
        if suffix(table) == ".csv" and _EXCLUDED.match(table.name):
            for series, read in read_marks(listing.path(table), EXCLUDED).items():
                found.setdefault(series, []).extend(read)
    return found


def _split(path: PurePosixPath) -> str | None:
    """The split in a folder name such as train_subset00."""
    words = (re.split(r"[_\-\d]", part)[0] for part in path.parts[:-1])
    return next((split for word in words if (split := split_word(word))), None)


def _findings(
    volumes: Sequence[PurePosixPath],
    chosen: Sequence[PurePosixPath],
    marks: Mapping[str, Sequence[Mark]],
    tables: Sequence[PurePosixPath],
) -> tuple[Finding, ...]:
    known = {stem(path) for path in volumes}
    absent = [series for series in marks if series not in known]
    bare = [path for path in volumes if path not in set(chosen)]
    free = [stem(path) for path in chosen if not marks.get(stem(path))]
    findings = []
    if absent:
        words = f"{counted(len(absent), 'seriesuid')} of {listed(tables)} without a volume: {listed(absent)}"
        findings.append(Finding("warning", words, tuple(absent)))
    if bare:
        number = counted(len(bare), "volume")
        words = f"{number} in a split without any mark, left out of training: {listed(bare)}"
        findings.append(Finding("note", words, tuple(map(stem, bare))))
    if free:
        words = f"{counted(len(free), 'volume')} without a mark, taken as free of nodules: {listed(free)}"
        findings.append(Finding("note", words, tuple(free)))
    return tuple(findings)
