"""What a folder that no layout recognises could be meant as, and what to do with it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hilum.study.layouts.columns import delimiter, filled
from hilum.study.listing import Listing
from hilum.study.mark_tables import PLACE
from hilum.study.names import is_image_word, is_mask_word, listed, natural, stem, suffix, without_mask_suffix
from hilum.study.slices import dicom_slices

_HEAD = 100_000
_MARKS = {name.lower() for name in PLACE}


def hint(listing: Listing) -> str:
    """What could be meant, said only where the files show it."""
    zips = [path for path in listing.files if suffix(path) == ".zip"]
    if zips:
        others = listed(path for path in listing.files if path not in zips)
        return (
            f" What is inside a zip ({listed(zips)}) is not looked at, and whether the other files "
            f"({others or 'none'}) belong to it is not known: unpack it and bring images and masks into one "
            "of these layouts. A zip with a DICOM series can be given as one image."
        )
    return _names_hint(listing) + _series_hint(listing) + table_hint(listing) + _coco_hint(listing)


def _names_hint(listing: Listing) -> str:
    folders = sorted({part for path in listing.images for part in path.parts[:-1]}, key=natural)
    images, masks = list(filter(is_image_word, folders)), list(filter(is_mask_word, folders))
    if images and masks:
        return (
            f" {listed(images)}/ and {listed(masks)}/ hold no files of the same name: name each mask as its "
            "image, or as its image and _mask."
        )
    if lonely := [path for path in listing.images if without_mask_suffix(stem(path)) is not None]:
        return (
            f" {listed(lonely, 3)} {'is' if len(lonely) == 1 else 'are'} named as masks are, but no image of "
            "that name lies beside: name each mask as its image and _mask, or give the folder of each case "
            "one mask and the same channels (CASE/CASE_t1, CASE/CASE_t2, CASE/CASE_seg)."
        )
    return " These images have no masks, marks or labels that are known." if listing.images else ""


def _series_hint(listing: Listing) -> str:
    """How to say that a folder of DICOM slices is one image, with its mask where there is one."""
    dicom = dicom_slices(listing)
    slices = [path for path in listing.files if path in dicom and len(path.parts) > 1]
    masks = [path for path in listing.images if path not in dicom]
    if not slices or not masks:
        return ""
    folder = slices[0].parent
    mask = next((path for path in masks if path.name.startswith(folder.name)), masks[0])
    return (
        " A folder of DICOM slices is one image: list such folders in study.csv, under its columns "
        f"`image,TARGET` (a name for what the masks show) as in `{folder.as_posix()},{mask.as_posix()}`."
    )


def table_hint(listing: Listing) -> str:
    """Which tables were seen that are not read, as only study.csv is, and what to do with them."""
    tables = [path for path in listing.files if suffix(path) == ".csv"]
    if not tables:
        return ""
    header = _header(listing.path(tables[0]))
    if {name.lower() for name in header} >= _MARKS:
        return (
            f" {listed(tables[:1])} holds marks (columns {listed(header)}): rename it to annotations.csv, "
            "beside volumes (.mhd, .nii.gz) that are named by their seriesuid."
        )
    columns = f" (columns {listed(header)})" if header else ""
    example = f" such as {listing.images[0].as_posix()}" if listing.images else ""
    return (
        f" {listed(tables)}{columns} was seen, but only study.csv is read: rename the table of labels to "
        f"study.csv, in {listing.root} itself, with the columns image (paths from there{example}) and label."
    )


def _header(path: Path) -> list[str]:
    """The columns of a table, none where it cannot be read."""
    first = _head(path).partition("\n")[0]
    try:
        return filled(next(csv.reader(io.StringIO(first), delimiter=delimiter(first)), []))
    except csv.Error:
        return []


def _coco_hint(listing: Listing) -> str:
    """That COCO JSON is not read, and what is."""
    found = [path for path in listing.files if suffix(path) == ".json" and _is_coco(listing.path(path))]
    if not found:
        return ""
    return (
        f" {listed(found)} is COCO JSON, which is written here but not read: draw what it outlines as one "
        "mask image for each image (pycocotools: COCO.annToMask) into masks/, named as its image in images/."
    )


def _is_coco(path: Path) -> bool:
    """Whether a file begins as COCO JSON does, whichever of its lists comes first."""
    head = _head(path)
    pairs = (('"images"', '"file_name"'), ('"annotations"', '"image_id"'))
    return any(name in head and key in head for name, key in pairs)


def _head(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return handle.read(_HEAD).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""
