"""What lies in a folder, seen once: no hidden files, no results of Hilum, no symlink loops, in order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from hilum.errors import StudyError
from hilum.image.pyramid import zarr_folders
from hilum.study.names import counted, is_image, listed, natural, suffix

_IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "__pycache__"})
_LIMIT_FILES = 2_000_000
# What Hilum writes itself into a folder below the images: a run, what it found, why it found it.
_RUN = frozenset({"plan.yaml", "splits.json", "manifest.json"})
_EXPLAINED = frozenset({"explain.html", "uncertainty.csv"})
_TABLES = frozenset({"measurements.csv", "candidates.csv"})
_DELIVERED = frozenset(
    ["masks", "overlays", "probabilities", "evaluation", "geojson", "dicom-seg", "lungs", "candidates"]
)


@dataclass(frozen=True)
class Listing:
    """Files below `root`, as paths relative to it, in natural order.

    `results` are folders of what Hilum itself wrote there, whose files are not listed.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    results: tuple[PurePosixPath, ...] = ()

    @cached_property
    def images(self) -> tuple[PurePosixPath, ...]:
        """The files with a suffix of an image or a volume."""
        return tuple(path for path in self.files if is_image(path))

    @cached_property
    def folders(self) -> dict[PurePosixPath, tuple[PurePosixPath, ...]]:
        """Folders that hold images themselves, with these images."""
        result: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in self.images:
            result.setdefault(path.parent, []).append(path)
        return {folder: tuple(paths) for folder, paths in result.items()}

    def path(self, relative: PurePosixPath) -> Path:
        """The absolute path of a listed file."""
        return self.root / relative

    def summary(self) -> str:
        """What was found, in a few words for an error message."""
        if not self.files:
            return "no files"
        kinds = Counter(suffix(path) or "no suffix" for path in self.files)
        text = ", ".join(f"{number} x {kind}" for kind, number in kinds.most_common(6))
        tops = sorted({path.parts[0] + "/" for path in self.files if len(path.parts) > 1}, key=natural)
        return f"{counted(len(self.files), 'file')} ({text})" + (f" in {listed(tops, 8)}" if tops else "")


def list_folder(root: Path) -> Listing:
    """List a folder, going down where one sub-folder holds everything; a single file is listed alone.

    Raises StudyError where the path does not exist, cannot be read, or holds no files.
    """
    listing = _listing(Path(root).expanduser())
    _check_any(listing)
    return listing


def list_with_zarrs(root: Path) -> tuple[Listing, list[Path]]:
    """The files below a folder, and the OME-Zarr images there, which are folders; there may be these alone.

    Raises StudyError as `list_folder` does.
    """
    root = Path(root).expanduser()
    listing = _listing(root)
    results = [listing.path(folder) for folder in listing.results]
    zarrs = [path for path in zarr_folders(root) if not any(map(path.is_relative_to, results))]
    if not zarrs:
        _check_any(listing)
    return listing, zarrs


def _listing(root: Path) -> Listing:
    if not root.exists():
        raise StudyError(
            f"{root}: there is no such folder; give the folder that holds images and annotations"
        )
    if root.is_file():
        return Listing(root.parent, (PurePosixPath(root.name),))
    results: list[PurePosixPath] = []
    found = _walk(root, results.append)
    files = tuple(sorted(found, key=lambda path: [natural(part) for part in path.parts]))
    return _descended(Listing(root, files, tuple(sorted(results))))


def _check_any(listing: Listing) -> None:
    """Raise StudyError where no file was found."""
    if listing.files:
        return
    results = f"nothing but results of Hilum ({listed(listing.results)})" if listing.results else ""
    what = results or "the folder is empty"
    raise StudyError(f"{listing.root}: {what}; give the folder that holds images and annotations")


def _descended(listing: Listing) -> Listing:
    """The listing of the only sub-folder where nothing but folders is beside it."""
    while all(len(path.parts) > 2 for path in listing.files):
        tops = {path.parts[0] for path in listing.files}
        if len(tops) != 1:
            break
        top = tops.pop()
        files = tuple(path.relative_to(top) for path in listing.files)
        inside = (path for path in listing.results if path.parts[0] == top)
        listing = Listing(listing.root / top, files, tuple(path.relative_to(top) for path in inside))
    return listing


def _walk(root: Path, leave: Callable[[PurePosixPath], None]) -> Iterator[PurePosixPath]:
    """Files below a folder; folders below it that hold results of Hilum are given to `leave`."""
    seen = {_identity(root)}
    found = 0
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        kept = [name for name in folders if _visible(name) and not name.lower().endswith(".zarr")]
        if Path(folder) != root and _are_results(names, kept):
            leave(PurePosixPath(Path(folder).relative_to(root).as_posix()))
            folders.clear()
            continue
        folders[:] = [name for name in kept if _first_visit(Path(folder) / name, seen)]
        for name in names:
            if _visible(name) and (Path(folder) / name).is_file():
                found += 1
                if found > _LIMIT_FILES:
                    raise StudyError(f"{root}: holds more than {_LIMIT_FILES:,} files; give a smaller folder")
                yield PurePosixPath((Path(folder) / name).relative_to(root).as_posix())


def _are_results(names: Collection[str], folders: Collection[str]) -> bool:
    """Whether a folder is a run, a prediction or an explanation by Hilum, told by its files and folders."""
    if _RUN.issubset(names) or _EXPLAINED.issubset(names):
        return True
    predicted = not _TABLES.isdisjoint(names) and {"masks", "overlays"}.intersection(folders)
    return bool(predicted) and _DELIVERED.issuperset(folders)


def _refuse(error: OSError) -> None:
    raise StudyError(f"{error.filename}: the folder cannot be read ({error.strerror})") from error


def _visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _IGNORED


def _first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """False for a folder met before, which is how symlink loops end."""
    identity = _identity(folder)
    fresh = identity not in seen
    seen.add(identity)
    return fresh


def _identity(folder: Path) -> tuple[int, int]:
    try:
        state = folder.stat()
    except OSError:
        return (-1, -1)
    return (state.st_dev, state.st_ino)
