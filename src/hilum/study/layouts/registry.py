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
from hilum.study.layouts.hints import hint
from hilum.study.listing import Listing
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
    Layout(
        "case_folders",
        "CASE/image.png and mask.png or TARGET.png, CASE/images/ and CASE/masks/, or CASE_t1 and CASE_seg",
        case_folders.recognise,
    ),
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
        f"{hint(listing)}\n"
        f"The layouts that are understood:\n{known}"
    )
