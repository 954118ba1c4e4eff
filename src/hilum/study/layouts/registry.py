"""The layouts that Hilum knows, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hilum.errors import StudyError
from hilum.study.layouts import (
    case_folders,
    classes,
    image_folders,
    marks,
    medmnist,
    nnunet,
    readers,
    siblings,
    suffixes,
    tables,
)
from hilum.study.listing import Listing
from hilum.study.names import is_image_word, is_mask_word, listed, natural, suffix
from hilum.study.study import Study


class Layout(NamedTuple):
    """A layout: its name, one line for people, and the function that recognises it."""

    name: str
    line: str
    recognise: Callable[[Listing], Study | None]


LAYOUTS = (
    Layout(
        "table",
        "study.csv with columns image, label or one a target, group, split, spacing",
        tables.recognise,
    ),
    Layout("nnunet", "imagesTr/ labelsTr/ dataset.json (nnU-Net raw)", nnunet.recognise),
    Layout(
        "medmnist",
        "one .npz with train_images, train_labels, val_..., test_... (MedMNIST)",
        medmnist.recognise,
    ),
    Layout("marks", "subset0/*.mhd and annotations.csv (LUNA16, Tianchi)", marks.recognise),
    Layout(
        "readers",
        "PATIENT/nodule-0/images/*.png with mask-0/ mask-1/ ... of several readers",
        readers.recognise,
    ),
    Layout(
        "image_folders",
        "images/ and masks/ or labels/, also within train/ val/ test/",
        image_folders.recognise,
    ),
    Layout(
        "suffixes",
        "NAME.png and NAME_mask.png (or _seg, _label, _HC_Annotation) in one folder",
        suffixes.recognise,
    ),
    Layout("case_folders", "CASE/image.png and CASE/mask.png", case_folders.recognise),
    Layout("siblings", "Original/ TargetA/ TargetB/ with equally named files", siblings.recognise),
    Layout("classes", "one folder a class, also within train/ val/ test/", classes.recognise),
)


def recognise(listing: Listing) -> Study:
    """The study that the first fitting layout sees in a listing.

    Raises StudyError that says what was found and which layouts exist.
    """
    for layout in LAYOUTS:
        study = layout.recognise(listing)
        if study is not None and study.cases:
            return study
    known = "\n".join(f"  {layout.line}" for layout in LAYOUTS)
    raise StudyError(
        f"{listing.root}: no annotated images are recognised here. Found {listing.summary()}."
        f"{_hint(listing)}\n"
        f"The layouts that are understood:\n{known}"
    )


def _hint(listing: Listing) -> str:
    """What could be meant, said only where the files show it."""
    zips = [path for path in listing.files if suffix(path) == ".zip"]
    if zips:
        others = listed(path for path in listing.files if path not in zips)
        return (
            f" What is inside a zip ({listed(zips)}) is not looked at, and whether the other files "
            f"({others or 'none'}) belong to it is not known: unpack it and bring images and masks into one "
            "of these layouts. A zip with a DICOM series can be given as one image."
        )
    folders = sorted({part for path in listing.images for part in path.parts[:-1]}, key=natural)
    images, masks = list(filter(is_image_word, folders)), list(filter(is_mask_word, folders))
    if images and masks:
        return (
            f" {listed(images)}/ and {listed(masks)}/ hold no files of the same name: name each mask as its "
            "image, or as its image and _mask."
        )
    if listing.images:
        return " These images have no masks, marks or labels that are known."
    return ""
