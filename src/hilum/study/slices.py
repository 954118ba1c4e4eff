"""Which files of a folder are DICOM slices: by their suffix or, without one, by their first bytes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hilum.image.readers import SLICE_SUFFIXES
from hilum.study.listing import Listing
from hilum.study.names import is_image, suffix

FIRST_LOOK = 8


def dicom_slices(listing: Listing) -> frozenset[PurePosixPath]:
    """The listed files that are DICOM, whether their names say so or not."""
    named = (path for path in listing.files if suffix(path) in SLICE_SUFFIXES)
    return frozenset(named) | _bare_slices(listing)


def _bare_slices(listing: Listing) -> set[PurePosixPath]:
    """DICOM files by their signature, where names have no suffix, as hospitals export them (IM0001).

    Of each folder a few files are looked at, and all where one of them is DICOM.
    """
    others: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in listing.files:
        if not is_image(path) and path.name.lower() != "dicomdir":
            others.setdefault(path.parent, []).append(path)
    return {
        path
        for paths in others.values()
        if any(_is_dicom(listing.path(path)) for path in paths[:FIRST_LOOK])
        for path in paths
        if _is_dicom(listing.path(path))
    }


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as handle:
            return handle.read(132)[128:] == b"DICM"
    except OSError:
        return False
