"""NPY and NPZ files: arrays of images, read without pickle and sized before they are read."""

from __future__ import annotations

import functools
import math
import stat
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.files import NUMPY_HEADER
from hilum.image.image import Image
from hilum.image.limits import check_index, check_no_entry, check_size, decoding, shown
from hilum.image.readers import Header, Reader
from hilum.image.spacing import unknown_spacing

_MAGIC = b"\x93NUMPY"
_FEW = 4
_KEEP_BYTES = 256 * 1024**2
_READ_BYTES = 16 * 1024**2


def entries(path: Path) -> tuple[str, ...]:
    """Keys of an NPZ file in stored order. Raises ImageError where it is not one."""
    with decoding(path, "NPZ"), zipfile.ZipFile(path) as archive:
        return tuple(info.filename.removesuffix(".npy") for info in archive.infolist())


def load_array(path: Path, entry: str | None = None) -> NDArray[Any]:
    """The array of an NPY file or of one entry of an NPZ file, whatever its axes mean (labels too).

    Type bool becomes uint8 0 and 1, byte order becomes the machine's. Raises ImageError for damaged or
    oversized files, pickled objects, text and complex numbers.
    """
    path = Path(path)
    if _is_archive(path):
        key = _key(path, entry)
        with decoding(path, "NPZ"), zipfile.ZipFile(path) as archive:
            info = _member(path, archive, key)
            with archive.open(info) as handle:
                return _read_stream(path, handle, info.file_size)
    check_no_entry(path, entry, "NPY")
    with decoding(path, "NPY"), path.open("rb") as handle:
        return _read_stream(path, handle, path.stat().st_size)


def _read(path: Path, entry: str | None, index: int | None) -> Image:
    if index is None:
        array = load_array(path, entry)
    else:
        state = path.stat()
        array = _kept(path, entry, state.st_mtime_ns, state.st_size)
        _check_cases(path, array.shape, index)
        array = array[index]
    array, note = _channel_first(path, array)
    return Image(
        array.copy() if index is not None else array, unknown_spacing(array.ndim - 1), path, notes=note
    )


def _probe(path: Path, entry: str | None, index: int | None) -> Header:
    shape, dtype = _declared(path, entry)
    frames = shape[0] if shape and _frames_possible(shape) else 1
    if index is not None:
        _check_cases(path, shape, index)
        shape = shape[1:]
    channels, spatial = _arrangement(path, shape)[1:3]
    keys = entries(path) if _is_archive(path) else ()
    return Header(channels, spatial, dtype, unknown_spacing(len(spatial)), frames, entries=keys)


# The cases of one array are asked for one after another; a compressed array would be unpacked each time.
@functools.lru_cache(maxsize=2)
def _cached(path: Path, entry: str | None, mtime_ns: int, size: int) -> NDArray[Any]:
    return load_array(path, entry)


def _kept(path: Path, entry: str | None, mtime_ns: int, size: int) -> NDArray[Any]:
    shape, dtype = _declared(path, entry)
    if math.prod(shape) * dtype.itemsize <= _KEEP_BYTES:
        return _cached(path, entry, mtime_ns, size)
    return load_array(path, entry)


def _frames_possible(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 3


def _check_cases(path: Path, shape: tuple[int, ...], index: int) -> None:
    if not _frames_possible(shape):
        raise ImageError(
            f"{shown(path)}: an array of shape {shape} holds one image; leave the index {index} out"
        )
    check_index(path, index, shape[0])


def _arrangement(path: Path, shape: tuple[int, ...]) -> tuple[str, int, tuple[int, ...]]:
    """Axis letters, channels and spatial shape of one image; an axis of up to 4 is channels."""
    match shape:
        case (_, _):
            return "YX", 1, shape
        case (first, *rest) if len(shape) in (3, 4) and first <= _FEW:
            return "C" + "ZYX"[-len(rest) :], first, tuple(rest)
        case (*rest, last) if len(shape) in (3, 4) and last <= _FEW:
            return "ZYX"[-len(rest) :] + "C", last, tuple(rest)
        case (_, _, _):
            return "ZYX", 1, shape
    raise ImageError(
        f"{shown(path)}: an array of shape {shape} is no image; (Y, X), (C, Y, X), (Y, X, C), (Z, Y, X) and "
        "(C, Z, Y, X) are, with an index also one of many"
    )


def _channel_first(path: Path, array: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    letters = _arrangement(path, array.shape)[0]
    if letters == "ZYX":
        return array[None], (f"shape {array.shape} was read as the planes of a volume",)
    if letters == "YX":
        return array[None], ()
    return np.ascontiguousarray(np.moveaxis(array, letters.index("C"), 0)), ()


def _declared(path: Path, entry: str | None) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type as `load_array` would return them, from the header alone."""
    if _is_archive(path):
        key = _key(path, entry)
        with decoding(path, "NPZ"), zipfile.ZipFile(path) as archive:
            info = _member(path, archive, key)
            with archive.open(info) as handle:
                shape, _, dtype = _header(path, handle, info.file_size)
    else:
        check_no_entry(path, entry, "NPY")
        with decoding(path, "NPY"), path.open("rb") as handle:
            shape, _, dtype = _header(path, handle, path.stat().st_size)
    return shape, np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def _is_archive(path: Path) -> bool:
    with decoding(path, "NPZ"), path.open("rb") as handle:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError(f"{shown(path)}: is not a file")
        return _is_zip(handle.read(4))


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _key(path: Path, entry: str | None) -> str:
    keys = entries(path)
    if entry is None and len(keys) == 1:
        return keys[0]
    if entry in keys:
        return str(entry)
    held = ", ".join(shown(key) for key in keys[:20]) or "nothing"
    problem = f"has no entry {shown(entry)!r}" if entry is not None else "has several entries"
    raise ImageError(f"{shown(path)}: {problem}; name one of those it holds: {held}")


def _member(path: Path, archive: zipfile.ZipFile, key: str) -> zipfile.ZipInfo:
    """The member of a key, refused where it is encrypted, packed in an unusual way or declares too much."""
    info = next(info for info in archive.infolist() if info.filename.removesuffix(".npy") == key)
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImageError(
            f"{shown(path)}: entry {shown(key)!r} is encrypted or packed unusually; save it with NumPy"
        )
    check_size(path, (max(info.file_size, 1),), 1)
    return info


def _header(path: Path, handle: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type of an NPY stream of `size` bytes whose data must be there in full."""
    version = npy.read_magic(handle)
    reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if reader is None:
        raise ImageError(f"{shown(path)}: is an NPY file of version {version}; save it again with NumPy")
    with NUMPY_HEADER:
        shape, fortran, dtype = reader(handle)
    if dtype.hasobject or dtype.kind not in "buif" or dtype.shape:
        raise ImageError(
            f"{shown(path)}: holds {shown(str(dtype))}; whole numbers, floats or bool are needed"
        )
    check_size(path, shape or (1,), dtype.itemsize)
    if handle.tell() + math.prod(shape) * dtype.itemsize > size:
        raise ImageError(
            f"{shown(path)}: holds fewer numbers than its header says; it is cut short. Copy it again"
        )
    return shape, fortran, dtype


def _read_stream(path: Path, handle: IO[bytes], size: int) -> NDArray[Any]:
    shape, fortran, dtype = _header(path, handle, size)
    buffer = bytearray(math.prod(shape) * dtype.itemsize)
    view, filled = memoryview(buffer), 0
    while filled < len(buffer):
        part = handle.read(min(_READ_BYTES, len(buffer) - filled))
        if not part:
            raise ImageError(f"{shown(path)}: ends before its numbers do; it is cut short. Copy it again")
        view[filled : filled + len(part)] = part
        filled += len(part)
    handle.read(1)  # past the end, so that a zip compares its checksum
    # A damaged bool may hold any byte, so that it is read as bytes.
    kind = np.dtype(np.uint8) if dtype.kind == "b" else dtype
    array: NDArray[Any] = np.frombuffer(buffer, kind).reshape(shape, order="F" if fortran else "C")
    return (array != 0).astype(np.uint8) if dtype.kind == "b" else _native(array)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


NPY = Reader("NPY", (".npy",), lambda head: head.startswith(_MAGIC), _read, _probe)


def _sniff_npz(head: bytes) -> bool:
    """Whether a zip begins with an array, or is empty: DICOM series come in zips, too."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return _is_zip(head) and (name.endswith(b".npy") or head.startswith(b"PK\x05\x06"))


NPZ = Reader("NPZ", (".npz",), _sniff_npz, _read, _probe)
