"""What the studio shows of a folder: its study, and images beside it that nobody annotated yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from hilum.errors import HilumError, StudyError
from hilum.image.dicom import list_series
from hilum.study.groups import assign_groups
from hilum.study.inputs import sources_of
from hilum.study.layouts.pairs import split_of
from hilum.study.layouts.tables import NAME as TABLE
from hilum.study.listing import Listing, list_folder
from hilum.study.names import (
    counted,
    is_image,
    is_image_word,
    listed,
    stem,
    unique_names,
    without_mask_suffix,
)
from hilum.study.open import understand
from hilum.study.study import Case, Finding, Source, Study

BARE = "images without annotations"
SLICES = (".dcm", ".dicom", ".ima")
PACKED = (".zip", ".tar", ".gz", ".tgz", ".7z")


@dataclass(frozen=True)
class View:
    """A folder as the studio shows it: `cases` holds all images, annotated or not, in the study's order.

    `folders` tells when each folder last gained or lost a file, in ns: far sooner looked at than all files.
    """

    root: Path
    study: Study
    cases: tuple[Case, ...]
    files: int
    folders: dict[Path, int]

    @cached_property
    def by_name(self) -> dict[str, Case]:
        """Cases by their names."""
        return {case.name: case for case in self.cases}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a person should know, the worst first."""
        order = ("error", "warning", "note")
        return tuple(sorted(self.study.findings, key=lambda finding: order.index(finding.severity)))

    @property
    def kind(self) -> str:
        """What the annotations are: masks, labels or marks; "none" where there are none yet."""
        if not self.study.cases:
            return "none"
        if self.study.classes:
            return "labels"
        return "marks" if any(case.marks is not None for case in self.cases) else "masks"


def look(folder: Path) -> View:
    """A folder as it is now. Raises StudyError where it holds no image at all."""
    listing = list_folder(Path(folder))
    folders = times_of(_folders(listing))
    try:
        study = understand(folder)
    except StudyError as error:
        if not listing.images:
            raise
        study = Study(listing.root, BARE, (), findings=_why_bare(listing, error))
    bare = bare_cases(listing, study)
    grouped = _grouped(replace(study, cases=(*study.cases, *bare)))
    return View(study.root, study, grouped.cases, len(listing.files), folders)


def _folders(listing: Listing) -> set[Path]:
    """All folders of a study that hold something, and those above them."""
    holding = {path.parent for path in listing.files}
    return {listing.path(one) for folder in holding for one in (folder, *folder.parents)}


def times_of(folders: Iterable[Path]) -> dict[Path, int]:
    """When folders last changed, 0 for one that is gone."""
    found = {}
    for folder in folders:
        try:
            found[folder] = folder.stat().st_mtime_ns
        except OSError:
            found[folder] = 0
    return found


def case_of(view: View, name: str) -> Case:
    """The case of that name. Raises HilumError where there is none."""
    if name not in view.by_name:
        raise HilumError(f"{name}: there is no such image in {view.root}; load the page again")
    return view.by_name[name]


def _why_bare(listing: Listing, error: StudyError) -> tuple[Finding, ...]:
    """What kept the folder from being a study, said where more than plain images lie in it."""
    text = str(error).split("\nThe layouts")[0]
    tells = len(listing.folders) > 1 or (listing.root / TABLE).is_file()
    found = [Finding("warning", text)] if tells else []
    packed = [path.name for path in listing.files if path.suffix.lower() in PACKED and not is_image(path)]
    if packed:
        words = (
            f"{counted(len(packed), 'archive')} not looked into ({listed(packed)}): unpack what is to be seen"
        )
        found.append(Finding("note", words))
    return tuple(found)


def _grouped(study: Study) -> Study:
    """Groups for all images, found as for the study alone where that works."""
    try:
        return assign_groups(study)
    except HilumError:
        return study


def bare_cases(listing: Listing, study: Study) -> tuple[Case, ...]:
    """Images that are no part of the study's cases and lie where its images lie; of no study, all images."""
    if study.root != listing.root or any(case.image.entry for case in study.cases):
        return ()
    used = {source.path for case in study.cases for source in sources_of(case)}
    homes = {case.image.path.parent for case in study.cases}
    words = {home.name for home in homes}
    masks = {
        source.path.parent for case in study.cases for mask in case.masks.values() for source in mask.sources
    } - homes
    free = []
    for path in listing.images:
        whole = listing.path(path)
        home = not study.cases or whole.parent in homes or whole.parent.name in words or _named(whole)
        if whole in used or not home or whole.parent in masks or without_mask_suffix(stem(path)):
            continue
        free.append(path)
    free = _scans_as_one(listing, free)
    taken = {case.name for case in study.cases}
    names = [_free_name(name, taken) for name in unique_names([_parts(listing, p) for p in free])]
    return tuple(
        Case(name, Source(listing.path(path)), split=split_of(path))
        for name, path in zip(names, free, strict=True)
    )


def _parts(listing: Listing, path: PurePosixPath) -> tuple[str, ...]:
    """What a case can be named by; a scan that is the whole folder is named as it."""
    return (*path.parts[:-1], stem(path)) if path.parts else (listing.root.name,)


def _scans_as_one(listing: Listing, paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Paths where the folder of a scan stands for its slices."""
    stacks = _stacks([listing.path(path) for path in paths])
    rest = [path for path in paths if listing.path(path).parent not in stacks]
    return rest + [PurePosixPath(folder.relative_to(listing.root).as_posix()) for folder in stacks]


def _stacks(files: Sequence[Path]) -> dict[Path, None]:
    """Folders that hold the DICOM slices of one scan, which is one image."""
    slices: dict[Path, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in SLICES:
            slices.setdefault(path.parent, []).append(path)
    return dict.fromkeys(folder for folder, held in slices.items() if len(held) > 1 and _same_series(held))


def _same_series(files: Sequence[Path]) -> bool:
    """Whether the first and the last file are of one series; a scan has too many to open all of them."""
    try:
        found = [list_series(path) for path in (files[0], files[-1])]
    except HilumError:
        return False
    return {one.uid for one in found[0]} == {one.uid for one in found[1]}


def _named(path: Path) -> bool:
    return is_image_word(path.parent.name)


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name
