"""What the studio shows of a folder: its study, and images beside it that nobody annotated yet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from hilum.errors import HilumError, StudyError
from hilum.image.dicom import list_series
from hilum.study.groups import assign_groups
from hilum.study.inputs import sources_of
from hilum.study.layouts.pairs import names_of, split_of
from hilum.study.layouts.tables import NAME as TABLE
from hilum.study.listing import Listing, list_folder
from hilum.study.names import (
    counted,
    is_image,
    is_image_word,
    listed,
    stem,
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
    known = tuple(replace(case, split=_split(study, case)) for case in study.unannotated)
    bare = bare_cases(listing, study)
    grouped = _grouped(replace(study, cases=(*study.cases, *known, *bare)))
    return View(study.root, study, grouped.cases, len(listing.files), folders)


def named_as(view: View, before: View) -> View:
    """A view with every image called as before: pages, open masks and strokes know images by their names."""
    old = {case.image: case.name for case in before.cases}
    taken = {old[case.image] for case in view.cases if case.image in old}
    names = {case.name: old.get(case.image) or _free_name(case.name, taken) for case in view.cases}
    study = replace(
        view.study,
        cases=_renamed(view.study.cases, names),
        unannotated=_renamed(view.study.unannotated, names),
        findings=tuple(
            replace(one, cases=tuple(names.get(name, name) for name in one.cases))
            for one in view.study.findings
        ),
    )
    return replace(view, study=study, cases=_renamed(view.cases, names))


def _renamed(cases: Iterable[Case], names: Mapping[str, str]) -> tuple[Case, ...]:
    return tuple(replace(case, name=names[case.name]) for case in cases)


def _split(study: Study, case: Case) -> str | None:
    """The split that an image lies in by its folders."""
    return split_of(PurePosixPath(case.image.path.relative_to(study.root).as_posix()))


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


def image_key(view: View, case: Case) -> str:
    """What tells an image from all others, whatever it is called: its path and its place in a file."""
    inside = (part for part in (case.image.entry, case.image.index) if part is not None)
    path = Path(os.path.relpath(case.image.path, view.root)).as_posix()
    return path + "".join(f"[{part}]" for part in inside)


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
    """Images that are no part of the study and lie where its images lie; of no study, all images."""
    known = (*study.cases, *study.unannotated)
    if study.root != listing.root or any(case.image.entry for case in known):
        return ()
    used = {source.path for case in known for source in sources_of(case)}
    homes, masks = _homes(listing, known)
    words = {home.name for home in homes}
    free = []
    for path in listing.images:
        whole = listing.path(path)
        home = not known or whole.parent in homes or whole.parent.name in words or _named(whole)
        taken_up = not used.isdisjoint((whole, *whole.parents))  # also as a slice of a scan's folder
        if taken_up or not home or whole.parent in masks or without_mask_suffix(stem(path)):
            continue
        free.append(path)
    free = _scans_as_one(listing, free)
    taken = {case.name for case in known}
    names = names_of(_key(listing, path) for path in free)
    return tuple(
        Case(_free_name(names[_key(listing, path)], taken), Source(listing.path(path)), split=split_of(path))
        for path in free
    )


def _homes(listing: Listing, cases: Sequence[Case]) -> tuple[set[Path], set[Path]]:
    """The folders of a study's images, and those of masks alone.

    Where each image lies with its mask in a folder of its own, a folder beside these that holds one image
    is one, too.
    """
    images = Counter(case.image.path.parent for case in cases)
    masks = {source.path.parent for case in cases for mask in case.masks.values() for source in mask.sources}
    homes = set(images)
    if masks and masks <= homes and len(images) > 1 and max(images.values()) == 1:
        around = {home.parent for home in homes}
        alone = {listing.path(folder) for folder, paths in listing.folders.items() if len(paths) == 1}
        homes |= {folder for folder in alone if folder.parent in around}
    return homes, masks - homes


def _key(listing: Listing, path: PurePosixPath) -> tuple[str, ...]:
    """What a case is named by: as in the layout of `images/`; a scan that is the whole folder as that one."""
    if not path.parts:
        return (listing.root.name,)
    at = next((k for k, part in enumerate(path.parts[:-1]) if is_image_word(part)), None)
    return (*(part for k, part in enumerate(path.parts[:-1]) if k != at), stem(path))


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
