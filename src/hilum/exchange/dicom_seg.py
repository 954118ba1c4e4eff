"""Predicted masks as DICOM segmentations (DICOM PS3.3, A.51), one object a series, on the grid of its CT."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError, ImageError, needed
from hilum.files import whole_file
from hilum.image.dicom import volume_headers
from hilum.image.mask_files import VOLUME, mask_path
from hilum.image.readers import read_image
from hilum.study.study import Source

# Type 2 of DICOM's patient and general study: they must be there, and may be empty.
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
logger = logging.getLogger(__name__)
FOLDER = "dicom-seg"
_TISSUE = ("85756007", "SCT", "Tissue")
_ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
_STRUCTURE = ("123037004", "SCT", "Anatomical Structure")
# What a target is called in SNOMED CT: (category, type) by a word of its name.
_KNOWN = {
    "nodule": (_ABNORMAL, ("27925004", "SCT", "Nodule")),
    "lung": (_STRUCTURE, ("39607008", "SCT", "Lung")),
    "nerve": (_STRUCTURE, ("3057000", "SCT", "Nerve")),
}


def check_dicom_seg() -> None:
    """Raise HilumError where the package that writes segmentations is not installed."""
    needed("highdicom", "export")


def write_dicom_segs(out: Path, cases: Mapping[str, Source], targets: Sequence[str]) -> list[Path]:
    """Write `dicom-seg/CASE.dcm` of the masks in `out` for each case that is a DICOM series.

    Each target is a segment. Other images are left out with a warning. Raises HilumError that lists the
    series that cannot be written, once all others are.
    """
    written, problems = [], []
    for case, source in cases.items():
        paths = [mask_path(out, target, case, VOLUME) for target in targets]
        headers = _headers(source) if all(path.is_file() for path in paths) else ()
        if not headers:
            logger.warning("%s: is no DICOM series with masks, so it gets no DICOM segmentation", case)
            continue
        masks = np.stack([read_image(path).array[0] > 0 for path in paths])
        path = out / FOLDER / f"{case}.dcm"
        try:
            write_dicom_seg(path, headers, masks, targets)
        except HilumError as error:
            problems.append(str(error))
            continue
        written.append(path)
    if problems:
        raise HilumError("\n".join(problems))
    return written


def write_dicom_seg(
    path: Path, headers: Sequence[Any], masks: NDArray[np.bool_], targets: Sequence[str]
) -> None:
    """Write masks (T, Z, Y, X) as one segmentation object; `headers` are those of the Z slices, in order.

    Tags that they lack though DICOM wants them, if empty, are put into them.

    Raises HilumError where slices and masks do not fit or a header lacks what a segmentation refers to.
    """
    seg = needed("highdicom.seg", "export")
    uid = needed("highdicom", "export").UID
    if masks.shape[:2] != (len(targets), len(headers)):
        raise HilumError(f"{path}: masks {masks.shape} for {len(targets)} targets and {len(headers)} slices")
    for header in headers:
        _complete(header)
    try:
        with warnings.catch_warnings(action="ignore"):
            made = seg.Segmentation(
                source_images=list(headers),
                pixel_array=np.moveaxis(masks, 0, -1).astype(np.uint8),
                segmentation_type="BINARY",
                segment_descriptions=[_segment(number, name) for number, name in enumerate(targets, 1)],
                series_instance_uid=uid(),
                series_number=900,
                sop_instance_uid=uid(),
                instance_number=1,
                manufacturer="Hilum",
                manufacturer_model_name="Hilum",
                software_versions=version("hilum"),
                device_serial_number="0",
                content_label="HILUM",
                series_description="Hilum, research use only",
            )
        with whole_file(path) as beside:
            made.save_as(beside)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, HilumError):
            raise
        raise HilumError(
            f"{path}: cannot be made from these slices ({' '.join(str(error).split())})"
        ) from error


def _complete(header: Any) -> None:
    """Give a header, in place, empty values of tags that DICOM wants to be there, known or not."""
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")


def _headers(source: Source) -> Sequence[Any]:
    """The headers of a series' slices; nothing where the image is no series."""
    try:
        return volume_headers(source.path, source.entry)
    except ImageError as error:
        logger.debug("%s", error)
        return ()


def _segment(number: int, name: str) -> Any:
    """How one target is described."""
    highdicom, seg = needed("highdicom", "export"), needed("highdicom.seg", "export")
    concept = needed("highdicom.sr", "export").CodedConcept
    category, kind = next(
        (codes for word, codes in _KNOWN.items() if word in name.lower()), (_TISSUE, _TISSUE)
    )
    return seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=concept(*category),
        segmented_property_type=concept(*kind),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="Hilum", version=version("hilum"), family=concept("123110", "DCM", "Artificial Intelligence")
        ),
    )
