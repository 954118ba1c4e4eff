"""DICOM: one series from a folder or a zip as a volume in Hounsfield units, or one file as a picture.

Source: DICOM PS3.3, Image Plane and CT Image modules. World coordinates are the patient's (LPS), in mm.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.dicom_files import Loader, files_in
from hilum.image.dicom_geometry import position_of, slice_step, stack_geometry
from hilum.image.dicom_pixels import decoded, has_palette
from hilum.image.image import Image
from hilum.image.limits import DECODER_ERRORS, LIMIT_BYTES, check_index, decoding, shown
from hilum.image.readers import SLICE_SUFFIXES, Header, Reader
from hilum.image.spacing import Spacing, unknown_spacing

_log = logging.getLogger(__name__)
_SAME_MM = 0.01


@dataclass(frozen=True)
class Slice:
    """One DICOM file of a series: where it lies, its place along the normal in mm, and its header."""

    name: str
    position_mm: float
    header: Any
    load: Loader


@dataclass(frozen=True)
class Series:
    """A DICOM series as found: its uid, its description and its slices, unsorted."""

    uid: str
    description: str
    slices: tuple[Slice, ...]

    def __str__(self) -> str:
        return f"{self.uid} ({self.description or 'no description'}, {len(self.slices)} slices)"


def list_series(path: Path) -> tuple[Series, ...]:
    """Find the series in a folder (with its subfolders), a zip, or one file; pixels stay unread.

    Raises ImageError where there is no DICOM image, or a zip is damaged, encrypted or a bomb.
    """
    path = Path(path)
    found: dict[str, list[Slice]] = {}
    names: dict[str, str] = {}
    with _told(path):
        for name, load in files_in(path):
            header = _header(path, name, load)
            if header is None:
                continue
            uid = str(header.get("SeriesInstanceUID", "")) or "no uid"
            names.setdefault(uid, str(header.get("SeriesDescription", "") or header.get("Modality", "")))
            found.setdefault(uid, []).append(Slice(name, position_of(header), header, load))
    if not found:
        raise ImageError(
            f"{path}: holds no DICOM image; a folder, a zip or a .dcm file with image slices is needed"
        )
    return tuple(Series(uid, names[uid], tuple(slices)) for uid, slices in sorted(found.items()))


def read_series(path: Path, entry: str | None = None, *, limit_bytes: int = LIMIT_BYTES) -> Image:
    """Read one series as (1, Z, Y, X) with slope and intercept applied: int16 where exact, else float32.

    `entry` chooses a series by its uid. Slices are ordered by position along their normal. Raises
    ImageError where the choice is open, slices are missing, differ in size, or stand at one place twice.
    """
    path = Path(path)
    with _told(path):
        return _series(path, choose(path, list_series(path), entry), limit_bytes)


def _series(path: Path, series: Series, limit_bytes: int) -> Image:
    slices, notes = _cleaned(path, series)
    first = slices[0].header
    _check_size(path, first, len(slices), limit_bytes)
    array = _voxels(path, slices)
    slices, array, more = _without_duplicates(path, slices, array)
    places = np.array([one.position_mm for one in slices])
    step, uneven = slice_step(path, places, float(first.get("SliceThickness") or 1.0))
    rows, columns = (float(size) for size in first.PixelSpacing)
    geometry, tilted = stack_geometry(slices[0].header, slices[-1].header)
    for note in tilted:
        _log.warning("%s: %s", path, note)
    return Image(
        array[np.newaxis],
        Spacing((step, rows, columns), "mm"),
        path=path,
        geometry=geometry,
        notes=(*notes, *more, *uneven, *tilted),
    )


def volume_headers(path: Path, entry: str | None = None) -> tuple[Any, ...]:
    """Headers of the slices of a series, one for each plane of what `read_series` gives, in its order.

    Raises ImageError as `read_series` does, and for a series of one slice.
    """
    path = Path(path)
    with _told(path):
        slices, _ = _cleaned(path, choose(path, list_series(path), entry))
        kept: list[Slice] = []
        for one in slices:
            if not kept or one.position_mm - kept[-1].position_mm > _SAME_MM:
                kept.append(one)
        if len(kept) < 2:
            raise ImageError(f"{path}: is one slice, no volume")
        return tuple(one.header for one in kept)


def read_picture(path: Path) -> Image:
    """Read one DICOM file as a picture (C, Y, X), slope and intercept applied, MONOCHROME1 turned round.

    Bright is dense then, as in MONOCHROME2. Raises ImageError where the file holds
    several frames or cannot be decoded.
    """
    path = Path(path)
    with _told(path):
        return _picture(path, choose(path, list_series(path), None).slices[0])


def _picture(path: Path, item: Slice) -> Image:
    _check_size(path, item.header, 1, LIMIT_BYTES)
    array = decoded(f"{path}: {item.name}", item.load)
    notes: tuple[str, ...] = ()
    if item.header.get("PhotometricInterpretation") == "MONOCHROME1":
        array = (array.min() + array.max() - array.astype(np.float64)).astype(array.dtype)
        notes = ("stored bright-is-air (MONOCHROME1); turned round",)
    if has_palette(item.header):
        notes = ("palette colours (PALETTE COLOR) became RGB",)
    planes = array[np.newaxis] if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, -1, 0))
    return Image(planes, _plane_spacing(item.header), path=path, notes=notes)


def choose(path: Path, series: tuple[Series, ...], entry: str | None) -> Series:
    """The one series, or the one that `entry` names. Raises ImageError listing all where that is open."""
    listed = "; ".join(map(str, series))
    if entry is not None:
        for one in series:
            if one.uid == entry:
                return one
        raise ImageError(f"{path}: has no series {entry}; it has {listed}")
    if len(series) > 1:
        raise ImageError(
            f"{path}: holds {len(series)} series: {listed}; move each series into its "
            f"own folder (in Python: read_image(path, entry={series[0].uid!r}))"
        )
    return series[0]


def _header(path: Path, name: str, load: Loader) -> Any:
    """The header of a DICOM image without its pixels, None where it is another file.

    Raises ImageError where it is a damaged one: left out, its slice would be missing from the volume.
    """
    import pydicom
    from pydicom.errors import BytesLengthException, InvalidDicomError

    content, where = load(), f"{shown(path)}: {shown(name)} in it"
    if content[128:132] != b"DICM":
        if name.lower().endswith(SLICE_SUFFIXES):
            raise ImageError(f"{where} is no whole DICOM file; export it again or take it away")
        return None
    try:
        header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
        kind = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID") or ""
        described = pydicom.uid.UID(str(kind)).name
    except (InvalidDicomError, BytesLengthException, *DECODER_ERRORS) as error:
        raise ImageError(f"{where} is damaged ({shown(str(error))[:200]}); export it again") from error
    if "Rows" not in header and (described == str(kind) or "Image Storage" in described):
        raise ImageError(f"{where} is cut short: it does not say its size; export it again")
    return header if "Rows" in header else None


def _cleaned(path: Path, series: Series) -> tuple[list[Slice], tuple[str, ...]]:
    """Slices in order along the normal, localisers left out with a note; all of one size and direction."""
    scouts = [one for one in series.slices if "LOCALIZER" in (one.header.get("ImageType") or [])]
    slices = (
        [one for one in series.slices if one not in scouts] if len(scouts) < len(series.slices) else scouts
    )
    notes = (f"{len(scouts)} localiser images left out",) if scouts and slices is not scouts else ()
    lost = [one.name for one in slices if not math.isfinite(one.position_mm)]
    if lost or "PixelSpacing" not in slices[0].header:
        raise ImageError(
            f"{path}: {lost[0] if lost else slices[0].name} does not say where it lies (no position, "
            "orientation or pixel spacing); it is no slice of a volume, read it alone as a picture"
        )
    first = slices[0].header
    for one in slices:
        for key in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
            here, there = (
                np.atleast_1d(np.asarray(header.get(key), float)) for header in (one.header, first)
            )
            if here.shape != there.shape or not np.allclose(here, there, atol=1e-4):
                raise ImageError(
                    f"{path}: {one.name} has {key} {here.tolist()} where {slices[0].name} has "
                    f"{there.tolist()}; slices of one volume must agree, move those of another scan "
                    "to their own folder"
                )
        coloured = int(one.header.get("SamplesPerPixel", 1)) > 1 or has_palette(one.header)
        if int(one.header.get("NumberOfFrames") or 1) > 1 or coloured:
            raise ImageError(f"{path}: {one.name} holds several frames or colours; convert it to NIfTI first")
    return sorted(slices, key=lambda one: (one.position_mm, one.name)), notes


def _check_size(path: Path, header: Any, count: int, limit_bytes: int) -> None:
    frames = int(header.get("NumberOfFrames") or 1)
    rows, columns = int(header.Rows), int(header.Columns)
    total = rows * columns * count * frames * int(header.get("SamplesPerPixel", 1)) * 4
    if total > limit_bytes or rows < 1 or columns < 1:
        raise ImageError(f"{path}: declares {count} x {rows} x {columns} pixels, limit {limit_bytes:,} bytes")
    if frames > 1:
        raise ImageError(f"{path}: holds {frames} frames in one file; convert it to NIfTI first")


def _voxels(path: Path, slices: list[Slice]) -> NDArray[Any]:
    """Values (Z, Y, X) of the slices: int16 while all are whole and fit, else float32."""
    shape = (len(slices), int(slices[0].header.Rows), int(slices[0].header.Columns))
    array: NDArray[Any] = np.empty(shape, np.int16)
    for index, one in enumerate(slices):
        values = decoded(f"{path}: {one.name}", one.load)
        if values.shape != shape[1:]:
            raise ImageError(f"{path}: {one.name} decodes to {values.shape}, its header says {shape[1:]}")
        if array.dtype == np.int16 and values.dtype != np.int16:
            array = array.astype(np.float32)
        array[index] = values
    return array


def _without_duplicates(
    path: Path, slices: list[Slice], array: NDArray[Any]
) -> tuple[list[Slice], NDArray[Any], tuple[str, ...]]:
    """Drop slices that repeat the one before, pixel for pixel. Raises ImageError where they differ."""
    keep = [0]
    for index in range(1, len(slices)):
        last = keep[-1]
        if slices[index].position_mm - slices[last].position_mm > _SAME_MM:
            keep.append(index)
        elif not np.array_equal(array[index], array[last]):
            raise ImageError(
                f"{path}: {slices[last].name} and {slices[index].name} both lie at "
                f"{slices[index].position_mm:g} mm but differ; the series holds two scans "
                "(phases, kernels): move one to its own folder"
            )
    dropped = len(slices) - len(keep)
    if not dropped:
        return slices, array, ()
    return (
        [slices[index] for index in keep],
        array[keep],
        (f"{dropped} repeated slices left out (identical)",),
    )


def _plane_spacing(header: Any) -> Spacing:
    sizes = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    return Spacing(tuple(float(size) for size in sizes), "mm") if sizes else unknown_spacing(2)


def _read(path: Path, entry: str | None, index: int | None) -> Image:
    check_index(path, index, 1)
    with _told(path):
        series = choose(path, list_series(path), entry)
        if len(series.slices) == 1:
            return _picture(path, series.slices[0])
        return _series(path, series, LIMIT_BYTES)


def _probe(path: Path, entry: str | None, index: int | None) -> Header:
    check_index(path, index, 1)
    with _told(path):
        every = list_series(path)
        return _declared(path, choose(path, every, entry), tuple(one.uid for one in every))


def _declared(path: Path, series: Series, uids: tuple[str, ...]) -> Header:
    header = series.slices[0].header
    plane = (int(header.Rows), int(header.Columns))
    slope, shift = (float(header.get(key) or 0) for key in ("RescaleSlope", "RescaleIntercept"))
    dtype = np.dtype(np.int16 if slope.is_integer() and shift.is_integer() else np.float32)
    if len(series.slices) == 1:
        channels = int(header.get("SamplesPerPixel", 1))
        if has_palette(header):
            channels, dtype = 3, np.dtype(np.uint8)
        return Header(channels, plane, dtype, _plane_spacing(header), entries=uids)
    slices, _ = _cleaned(path, series)
    places = len({round(one.position_mm / _SAME_MM) for one in slices})
    step = (slices[-1].position_mm - slices[0].position_mm) / max(places - 1, 1) or 1.0
    geometry, tilted = stack_geometry(slices[0].header, slices[-1].header)
    spacing = Spacing((step, *_plane_spacing(header).sizes), "mm")
    # Places in a tilted stack are rough: nothing may be compared with them.
    placed = None if tilted else geometry
    return Header(1, (places, *plane), dtype, spacing, entries=uids, geometry=placed)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises on a damaged file into an ImageError, and keep its warnings to itself."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    with (
        warnings.catch_warnings(action="ignore"),
        decoding(path, "DICOM", BytesLengthException, InvalidDicomError),
    ):
        yield


def _sniff(head: bytes) -> bool:
    return head[128:132] == b"DICM" or head.startswith(b"PK\x03\x04")


DICOM = Reader("DICOM", (".dcm", ".dicom", ".ima", ".zip"), _sniff, _read, _probe)
