"""Volumes with their place in the world: MetaImage, NRRD and NIfTI through SimpleITK.

World coordinates are ITK's: x, y, z in millimetres, to the left, back and head of the patient (LPS).
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import logging
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.limits import LIMIT_BYTES, check_index, check_no_entry
from hilum.image.readers import VOLUME_SUFFIXES, Header, Reader
from hilum.image.spacing import Spacing, unknown_spacing
from hilum.image.volume_headers import (
    NIFTI_MARK,
    UNKNOWN,
    UNKNOWN_KEY,
    Declared,
    check_declared,
    looks_like_volume,
    name_is_nifti,
)

_ENGINES = {
    ".mhd": "MetaImageIO",
    ".mha": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
}
_KINDS = {
    "UInt8": "u1",
    "Int8": "i1",
    "UInt16": "u2",
    "Int16": "i2",
    "UInt32": "u4",
    "Int32": "i4",
    "UInt64": "u8",
    "Int64": "i8",
    "Float32": "f4",
    "Float64": "f8",
}
_TO_MM = {"mm": 1.0, "um": 1e-3, "px": 1.0}
_WRITABLE = {np.dtype(kind) for kind in _KINDS.values()}
_log = logging.getLogger(__name__)


def suffix_of(path: Path) -> str:
    """The volume suffix of a file name. Raises ImageError where it is none of VOLUME_SUFFIXES.

    >>> suffix_of(Path("case.v2.nii.gz"))
    '.nii.gz'
    """
    name = Path(path).name.lower()
    for suffix in sorted(VOLUME_SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise ImageError(f"{path}: is not a volume by its name; allowed are {', '.join(VOLUME_SUFFIXES)}")


def read_volume(path: Path, *, limit_bytes: int = LIMIT_BYTES, allow_nan: bool = False) -> Image:
    """Read a volume as (C, Z, Y, X), or (C, Y, X) where the file is 2D, with spacing in mm and geometry.

    Vector voxels and a fourth axis become channels. Raises ImageError where pixels are missing, too
    few or too many for the header, above `limit_bytes`, complex, or (unless `allow_nan`) not finite.
    """
    path = Path(path)
    found = check_declared(path, limit_bytes)
    itk = _read_itk(path)
    array, notes = _channel_first(path, itk)
    if not allow_nan:
        check_finite(array, path)
    dims = array.ndim - 1
    return Image(
        array, _spacing(itk, dims, found), path=path, geometry=_geometry(itk, dims, found), notes=notes
    )


def check_finite(array: NDArray[Any], path: Path) -> None:
    """Raise ImageError naming the count and the first place of voxels that are NaN or infinite."""
    if array.dtype.kind != "f" or bool(np.isfinite(array.min()) and np.isfinite(array.max())):
        return
    bad = ~np.isfinite(array)
    first = tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape)[1:])
    raise ImageError(
        f"{path}: {_voxels(int(bad.sum()))} NaN or infinite, the first at "
        f"{'zyx'[-len(first) :]} {first}; replace them (with air, -1000, in a CT) and save it again"
    )


def _voxels(number: int) -> str:
    return "1 voxel is" if number == 1 else f"{number:,} voxels are"


def write_volume(path: Path, image: Image, *, compress: bool | None = None) -> None:
    """Write a volume, whole or not at all; read back it has the same voxels bit for bit.

    `compress` defaults to True for .nii.gz, False otherwise. Booleans are written as 0 and 1 in 8 bit.
    Of a .mhd or .nhdr the header appears last, so that it never names pixels that are not complete.
    NIfTI keeps spacing and origin in float32. Raises ImageError where the type cannot be stored.
    """
    path = Path(path)
    suffix = suffix_of(path)
    pack = suffix == ".nii.gz" if compress is None else compress
    if (suffix == ".nii" and pack) or (suffix == ".nii.gz" and not pack):
        raise ImageError(
            f"{path}: {'.nii is never' if pack else '.nii.gz is always'} compressed; rename the file"
        )
    itk = _to_itk(path, image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".volume-") as folder:
            beside = Path(folder) / f"volume{suffix}"
            with _quiet(path):
                if image.spacing.known or not name_is_nifti(path):
                    _writer(beside, suffix, pack).Execute(itk)
                else:
                    _write_without_unit(beside, itk)
            _put(beside, path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from error


def _write_without_unit(path: Path, itk: Any) -> None:
    """Write NIfTI whose unit of length is unknown; ITK alone always says mm."""
    plain = path.with_name("plain.nii")
    _writer(plain, ".nii", False).Execute(itk)
    with plain.open("r+b") as handle:
        # places of unit and description in the header of NIfTI-1 (348 bytes) and of NIfTI-2 (540 bytes)
        first = int.from_bytes(handle.read(4), sys.byteorder) == 348
        unit, size, described = (123, 1, 148) if first else (500, 4, 240)
        handle.seek(unit)
        handle.write(bytes(size))
        handle.seek(described)
        handle.write(NIFTI_MARK.ljust(80, b"\0"))
    if not path.name.endswith(".gz"):
        plain.replace(path)
        return
    with (
        plain.open("rb") as source,
        path.open("wb") as target,
        gzip.GzipFile("", "wb", 6, target, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 1 << 20)
    plain.unlink()


def _put(beside: Path, path: Path) -> None:
    """Move what was written beside to its place: the pixels under a free name first, then the header."""
    found = check_declared(beside)
    if found.data == beside:
        _flush(beside)
        beside.replace(path)
        return
    old = _old_data(path)
    data = _free_name(path, found.data.name.removeprefix(beside.stem))
    head, _, tail = beside.read_text(encoding="utf-8").rpartition(found.data.name)
    beside.write_text(head + data.name + tail, encoding="utf-8")
    _flush(found.data)
    _flush(beside)
    found.data.replace(data)
    try:
        beside.replace(path)
    except OSError:
        data.unlink(missing_ok=True)
        raise
    if old is not None:
        with contextlib.suppress(OSError):
            old.unlink(missing_ok=True)


def _free_name(path: Path, ending: str) -> Path:
    """A file beside `path` that is not there yet: scan.raw, scan-2.raw and so on."""
    stem = _data_stem(path)
    names = (path.with_name(f"{stem}{'' if n == 1 else f'-{n}'}{ending}") for n in itertools.count(1))
    return next(name for name in names if not name.exists())


def _data_stem(path: Path) -> str:
    """The header's stem, unless ITK would take it for a pattern or a list of files."""
    stem = path.stem.replace("%", "_")
    return f"_{stem}" if stem.upper().startswith(("LIST", "LOCAL")) else stem


def _old_data(path: Path) -> Path | None:
    """The pixel file of a header that is about to be replaced, where it has one of its own name."""
    with contextlib.suppress(ImageError):
        data = check_declared(path).data if path.is_file() else path
        if data != path and data.name.startswith(_data_stem(path)):
            return data
    return None


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


@contextlib.contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """Keep ITK's warnings off the terminal and turn its exceptions into an ImageError."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    except RuntimeError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        hint = "; its axes are sheared, resample it first" if "orthonormal" in str(error) else ""
        raise ImageError(f"{path}: ITK refused it ({reason}){hint}") from error


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """The path of a volume for ITK, which reads the voxels of x.nii where x.nii.gz was asked for."""
    beside = (path.name[:-3], f"{path.name[:-7]}.nii", f"{path.name[:-7]}.NII")
    if suffix_of(path) != ".nii.gz" or not any(path.with_name(name).exists() for name in beside):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        other = Path(folder) / "volume.nii.gz"
        try:
            other.symlink_to(path.resolve())
        except OSError:
            # links are not allowed everywhere
            shutil.copyfile(path, other)
        yield other


def _reader(path: Path) -> Any:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(_ENGINES[suffix_of(path)])
    reader.SetFileName(str(path))
    return reader


def _writer(path: Path, suffix: str, compress: bool) -> Any:
    import SimpleITK

    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO(_ENGINES[suffix])
    writer.SetFileName(str(path))
    writer.SetUseCompression(compress)
    return writer


def _read_itk(path: Path) -> Any:
    with _quiet(path), _alone(path) as file:
        itk = _reader(file).Execute()
    _type_of(path, itk.GetPixelID())
    return itk


def _type_of(path: Path, pixel_id: int) -> np.dtype[Any]:
    import SimpleITK

    for name, kind in _KINDS.items():
        if pixel_id in (getattr(SimpleITK, f"sitk{name}"), getattr(SimpleITK, f"sitkVector{name}")):
            return np.dtype(kind)
    found = SimpleITK.GetPixelIDValueAsString(pixel_id)
    raise ImageError(f"{path}: voxels of type {found} are not read; allowed are integers and floats")


def _channel_first(path: Path, itk: Any) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Array (C, Z, Y, X) or (C, Y, X) of an ITK image, with a note where an axis was taken as channels."""
    import SimpleITK

    array: NDArray[Any] = SimpleITK.GetArrayFromImage(itk)
    dims = itk.GetDimension()
    if dims not in (2, 3, 4):
        raise ImageError(f"{path}: has {dims} dimensions; allowed are 2, 3, or 4 with channels last")
    if itk.GetNumberOfComponentsPerPixel() > 1:
        if dims == 4:
            raise ImageError(f"{path}: has vectors along a fourth axis; save one volume a time point")
        return np.ascontiguousarray(np.moveaxis(array, -1, 0)), ()
    if dims == 4:
        return array, (f"the fourth axis (size {array.shape[0]}) is read as channels",)
    return array[np.newaxis], ()


def _spacing(itk: Any, dims: int, found: Declared) -> Spacing:
    if not found.spaced:
        return unknown_spacing(dims)
    return Spacing(tuple(size * found.to_mm for size in itk.GetSpacing()[:dims][::-1]), "mm")


def _geometry(itk: Any, dims: int, found: Declared) -> Geometry:
    count = itk.GetDimension()
    turned = np.eye(3)
    turned[:dims, :dims] = np.asarray(itk.GetDirection()).reshape(count, count)[:dims, :dims]
    origin = (*(float(value) * found.to_mm for value in itk.GetOrigin()[:dims]), 0.0)[:3]
    return Geometry((origin[0], origin[1], origin[2]), tuple(float(value) for value in turned.ravel()))


def _to_itk(path: Path, image: Image) -> Any:
    import SimpleITK

    array = image.array.astype(np.uint8) if image.array.dtype == bool else image.array
    if array.dtype.newbyteorder("=") not in _WRITABLE:
        raise ImageError(f"{path}: type {array.dtype} cannot be stored; use float32 or an integer type")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    dims = array.ndim - 1
    # ITK drops the single slice of vector NIfTI on reading; as a fourth axis the channels keep it.
    fourth = image.channels > 1 and name_is_nifti(path) and image.shape[0] == 1 and dims == 3
    if image.channels == 1 or fourth:
        itk = SimpleITK.GetImageFromArray(array if fourth else array[0], isVector=False)
    else:
        itk = SimpleITK.GetImageFromArray(np.moveaxis(array, 0, -1), isVector=True)
    if not image.spacing.known:
        _log.info("%s: the spacing is not known; the file says so, but other programs may take 1 mm", path)
        if not name_is_nifti(path):
            itk.SetMetaData(UNKNOWN_KEY, UNKNOWN)
    more = (1.0,) * fourth
    itk.SetSpacing([*(size * _TO_MM[image.spacing.unit] for size in image.spacing.sizes[::-1]), *more])
    if image.geometry is not None:
        turned = np.eye(dims + fourth)
        turned[:dims, :dims] = np.asarray(image.geometry.direction, float).reshape(3, 3)[:dims, :dims]
        itk.SetOrigin([*image.geometry.origin[:dims], *(0.0 for _ in more)])
        itk.SetDirection(turned.ravel().tolist())
    return itk


def _read(path: Path, entry: str | None, index: int | None) -> Image:
    check_no_entry(path, entry, "volume")
    check_index(path, index, 1)
    return read_volume(path)


def _probe(path: Path, entry: str | None, index: int | None) -> Header:
    check_no_entry(path, entry, "volume")
    check_index(path, index, 1)
    found = check_declared(path)
    with _quiet(path), _alone(path) as file:
        reader = _reader(file)
        reader.ReadImageInformation()
    dims = min(reader.GetDimension(), 3)
    size = reader.GetSize()
    channels = reader.GetNumberOfComponents() * math.prod(size[3:])
    shape, kind = tuple(size[:dims][::-1]), _type_of(path, reader.GetPixelID())
    spacing, geometry = _spacing(reader, dims, found), _geometry(reader, dims, found)
    return Header(channels, shape, kind, spacing, geometry=geometry)


VOLUME = Reader(
    "volume", (".nii.gz", ".nii", ".mhd", ".mha", ".nrrd", ".nhdr"), looks_like_volume, _read, _probe
)
