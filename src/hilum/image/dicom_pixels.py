"""Pixels of one DICOM file in rescaled units (Hounsfield for CT)."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.dicom_files import Loader


def decoded(where: str, load: Loader) -> NDArray[Any]:
    """Pixels of one file in rescaled units: int16 where exact, else float32; colour stays as stored.

    Indices into a palette become RGB (Y, X, 3) uint8. MONOCHROME1 stays bright-is-air, packed or not.
    """
    import pydicom
    from pydicom.uid import RLELossless

    dataset = pydicom.dcmread(io.BytesIO(load()))
    try:
        if "PixelData" not in dataset:
            raise ValueError("it has no pixel data")
        expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        packed = dataset.file_meta.TransferSyntaxUID.is_compressed
        if not packed and len(dataset.PixelData) < expected:
            raise ValueError(
                f"{expected:,} bytes of pixels are expected, {len(dataset.PixelData):,} were found"
            )
        if packed and dataset.file_meta.TransferSyntaxUID != RLELossless and dataset.SamplesPerPixel == 1:
            return _decoded_by_itk(dataset, load)
        stored = dataset.pixel_array
        if has_palette(dataset):
            return _coloured(stored, dataset)
    except (
        *(ValueError, AttributeError, KeyError, IndexError, TypeError, RuntimeError, NotImplementedError),
    ) as error:
        raise ImageError(f"{where} cannot be decoded ({error}); export the series again") from error
    if stored.ndim == 3:
        return np.asarray(stored)
    slope, shift = (float(dataset.get(key) or 0) for key in ("RescaleSlope", "RescaleIntercept"))
    return rescaled(stored, slope or 1.0, shift)


def has_palette(header: Any) -> bool:
    """Whether the pixels are indices into a palette of colours, as those of many ultrasound machines."""
    return str(header.get("PhotometricInterpretation", "")).strip() == "PALETTE COLOR"


def _coloured(stored: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Colours (Y, X, 3) of palette indices; those outside the palette take its first or last colour."""
    from pydicom.pixels import apply_color_lut

    entries, first = (int(value) for value in dataset.RedPaletteColorLookupTableDescriptor[:2])
    entries = entries or 1 << 16
    colours = _eight_bit(apply_color_lut(np.arange(first, first + entries), dataset)[:, :3])
    if entries > 256 and len(dataset.get("RedPaletteColorLookupTableData", b"")) == entries:
        raise ValueError(f"a palette of {entries} colours of 8 bit is not read")
    return colours[np.clip(stored.astype(np.int64) - first, 0, entries - 1)]


def _eight_bit(colours: NDArray[Any]) -> NDArray[np.uint8]:
    """The high bytes of 16 bit colours; some files keep 8 bit in 16."""
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)


def _decoded_by_itk(dataset: Any, load: Loader) -> NDArray[Any]:
    """Pixels of a compressed file (JPEG, JPEG 2000, JPEG-LS); ITK itself applies slopes and palettes."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        file = Path(folder) / "slice.dcm"
        if str(dataset.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1":
            # GDCM turns these round by itself, which pydicom does not: it is told that they need no turn.
            dataset.PhotometricInterpretation = "MONOCHROME2"
            dataset.save_as(file)
        else:
            file.write_bytes(load())
        itk = SimpleITK.ReadImage(str(file), imageIO="GDCMImageIO")
    array = SimpleITK.GetArrayFromImage(itk)
    if itk.GetNumberOfComponentsPerPixel() > 1:
        return _eight_bit(array[0] if array.ndim == 4 else array)
    return rescaled(array[0] if array.ndim == 3 else array, 1.0, 0.0)


def rescaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """Stored values times slope plus intercept: int16 where that is exact, float32 otherwise.

    >>> rescaled(np.array([0, 3000], np.uint16), 1, -1024)
    array([-1024,  1976], dtype=int16)
    >>> rescaled(np.array([1], np.int16), 0.5, 0)
    array([0.5], dtype=float32)
    """
    if stored.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        values = stored.astype(np.int64) * int(slope) + int(intercept)
        if values.min() >= -32768 and values.max() <= 32767:
            return values.astype(np.int16)
    return (stored * np.float64(slope) + intercept).astype(np.float32)
