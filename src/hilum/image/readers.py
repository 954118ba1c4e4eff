"""The registry of image readers: one is chosen by the file's extension and by its signature."""

from __future__ import annotations

import importlib
import logging
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import ImageError
from hilum.image.image import Geometry, Image
from hilum.image.limits import decoding, shown
from hilum.image.pyramid import is_field, is_zarr
from hilum.image.spacing import Spacing

log = logging.getLogger(__name__)

HEAD_BYTES = 512

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha", ".nrrd", ".nhdr")
SLICE_SUFFIXES = (".dcm", ".dicom", ".ima")

# Where each reader lives and which names it claims. A module is imported when one of its files is met.
TABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hilum.image.raster:PNG", (".png",)),
    ("hilum.image.raster:JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    ("hilum.image.raster:BMP", (".bmp", ".dib")),
    ("hilum.image.raster:GIF", (".gif",)),
    ("hilum.image.tiff:TIFF", (".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn")),
    ("hilum.image.arrays:NPY", (".npy",)),
    ("hilum.image.arrays:NPZ", (".npz",)),
    ("hilum.image.volume:VOLUME", VOLUME_SUFFIXES),
    ("hilum.image.dicom:DICOM", (*SLICE_SUFFIXES, ".zip")),
)
IMAGE_SUFFIXES: tuple[str, ...] = tuple(suffix for _, suffixes in TABLE for suffix in suffixes)
_DICOM = "hilum.image.dicom:DICOM"


@dataclass(frozen=True)
class Header:
    """What is known of an image without decoding its pixels, as `read_image` would return it.

    `shape` is (Y, X) or (Z, Y, X); `frames` is how many an `index` can choose from; `palette` says that
    the file stores indices into a palette; `entries` lists what an archive holds; `geometry` is known of
    volumes that say where they lie.
    """

    channels: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: Spacing
    frames: int = 1
    palette: bool = False
    entries: tuple[str, ...] = ()
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Reader:
    """One kind of file: how to recognise it by its first HEAD_BYTES, to read it and to look at its header.

    `read(path, entry, index)` returns pixels as stored: palette indices stay indices, with `palette` set.
    `probe(path, entry, index)` returns the header. Both raise ImageError and nothing else on bad bytes.
    `read_mask` reads what is known to be a mask, where that makes a difference.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[bytes], bool]
    read: Callable[[Path, str | None, int | None], Image]
    probe: Callable[[Path, str | None, int | None], Header]
    read_mask: Callable[[Path, str | None, int | None], Image] | None = None


def readable(path: Path | str) -> bool:
    """Whether the name is one of an image file; the file is not opened, hidden files are not.

    >>> readable("slide.OME.TIF"), readable("notes.txt"), readable(".part.png")
    (True, False, False)
    """
    name = Path(path).name.lower()
    return name.endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def read_image(path: Path | str, entry: str | None = None, index: int | None = None) -> Image:
    """Read an image as (C, Y, X), or (C, Z, Y, X) for volumes, in its stored type and with its spacing.

    `entry` names an array of an NPZ file (or a series of a DICOM folder), `index` one frame or case.
    Palettes become RGB, CMYK becomes RGB, alpha is left out, 1 bit becomes 0 and 255, the stored
    orientation is applied; `notes` of the result says what was done. Raises ImageError for anything that
    is not a whole image of a known kind.
    """
    image = read_indices(path, entry, index)
    return image if image.palette is None else expand_palette(image)


def read_indices(path: Path | str, entry: str | None = None, index: int | None = None) -> Image:
    """Read as `read_image` does, but keep palette indices (1, Y, X) with `palette` (K, 3) set."""
    return _read_as(Path(path), entry, index, mask=False)


def read_mask(path: Path | str, entry: str | None = None, index: int | None = None) -> Image:
    """Read as `read_indices` does, but a mask: TIFF values stay where white is 0 by its writer's habit."""
    return _read_as(Path(path), entry, index, mask=True)


def _read_as(path: Path, entry: str | None, index: int | None, mask: bool) -> Image:
    if is_field(entry) or is_zarr(path):
        from hilum.image.fields import read_field

        return read_field(path, entry, mask)
    reader, notes = choose_reader(path)
    with decoding(path, reader.name):
        read = reader.read_mask if mask and reader.read_mask is not None else reader.read
        image = read(path, entry, index)
    return replace(image, path=path, notes=(*notes, *image.notes))


def probe(path: Path | str, entry: str | None = None, index: int | None = None) -> Header:
    """Channels, shape, type, spacing and frames of an image, without decoding where its format permits."""
    path = Path(path)
    if is_field(entry) or is_zarr(path):
        from hilum.image.fields import probe_field

        return probe_field(path, entry)
    reader, _ = choose_reader(path)
    with decoding(path, reader.name):
        return reader.probe(path, entry, index)


def expand_palette(image: Image) -> Image:
    """RGB (3, ...) uint8 for indices (1, ...) with a palette; indices beyond the palette become black."""
    if image.palette is None:
        return image
    if not len(image.palette):
        raise ImageError(f"{shown(image.path or 'image')}: its palette holds no colours; it is damaged")
    indices = image.array[0]
    missing = int(indices.max()) + 1 - len(image.palette)
    table = np.concatenate([image.palette, np.zeros((max(missing, 0), 3), np.uint8)])
    note = ("pixels beyond the palette became black",) if missing > 0 else ()
    array = np.stack([table[:, channel][indices] for channel in range(3)])
    return replace(image, array=array, palette=None, notes=(*image.notes, *note))


def choose_reader(path: Path) -> tuple[Reader, tuple[str, ...]]:
    """The reader for a file or a DICOM folder, and notes where name and content disagree.

    Raises ImageError for a path that is missing, empty, not a file, of an unknown kind, or not what its
    extension says.
    """
    if _is_folder(path):
        return load_reader(_DICOM), ()
    head = _head(path)
    targets = [target for target, suffixes in TABLE if path.name.lower().endswith(suffixes)]
    for target in targets:
        reader = load_reader(target)
        if reader.sniff(head):
            return reader, ()
    for reader in _others(targets):
        if reader.sniff(head):
            return reader, (
                f"is a {reader.name} file by its signature, whatever its extension",
            ) if targets else ()
    raise ImageError(_unknown(path, head, load_reader(targets[0]) if targets else None))


def load_reader(target: str) -> Reader:
    """Import a reader of the TABLE. Raises ImageError where a library that it needs is not installed."""
    module, _, name = target.partition(":")
    try:
        reader = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ImageError(f"{name} files cannot be read: {error}. Install it with pip") from error
    if not isinstance(reader, Reader):
        raise TypeError(f"{target} is not a Reader")
    return reader


def _others(targets: list[str]) -> Iterator[Reader]:
    for target, _ in TABLE:
        if target not in targets:
            try:
                yield load_reader(target)
            except ImageError as error:
                log.debug("%s", error)


def _is_folder(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise ImageError(f"{shown(path)}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{shown(path)}: cannot be opened ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise ImageError(f"{shown(path)}: is a device or a pipe; an image file is needed")
    return stat.S_ISDIR(mode)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
    except OSError as error:
        raise ImageError(f"{shown(path)}: cannot be opened ({error.strerror or error})") from error
    if not head:
        raise ImageError(f"{shown(path)}: is empty (0 bytes). Copy or export it again")
    return head


def _unknown(path: Path, head: bytes, expected: Reader | None) -> str:
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in head) / len(head)
    found = "a text file" if printable > 0.95 else "something else"
    start = shown(head[:16].decode("latin-1"))
    if expected is not None:
        return (
            f"{shown(path)}: is not a {expected.name} file but {found} (it begins with '{start}'). "
            "Export the image again, or remove the file from the folder"
        )
    return (
        f"{shown(path)}: is no kind of image that is known, but {found} (it begins with '{start}'). "
        f"Known are {', '.join(sorted(IMAGE_SUFFIXES))} and folders of DICOM slices"
    )
