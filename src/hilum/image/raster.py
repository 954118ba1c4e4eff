"""PNG, JPEG, BMP and GIF through Pillow; colour PNG of 16 bits, which Pillow cuts to 8, through libpng."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile

from hilum.errors import ImageError
from hilum.image.channels import channel_first, drop_alpha, orient, turned, turned_note
from hilum.image.exif import orientation_of
from hilum.image.image import Image
from hilum.image.limits import check_index, check_no_entry, check_size, decoding
from hilum.image.readers import Header, Reader
from hilum.image.resolution import CM_UM, INCH_UM, spacing_from_density
from hilum.image.spacing import Spacing, parse_spacing, unknown_spacing

SPACING_KEY = "Hilum spacing"
_DTYPES: dict[str, type[np.generic]] = {"I": np.int32, "F": np.float32, "I;16": np.uint16, "I;16B": np.uint16}
_CHANNELS = {"RGB": 3, "RGBA": 3, "RGBX": 3, "CMYK": 3, "YCbCr": 3, "P": 3, "PA": 3}


@dataclass(frozen=True)
class _Opened:
    """A file whose header is read, the frames it has, and whether it needs the 16-bit decoder."""

    picture: ImageFile
    frames: int
    deep: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.deep else _DTYPES.get(self.picture.mode, np.uint8))


# Each plugin is called by itself and not through PIL.Image.open, so that no other parser meets the bytes
# and the pixel limit is ours, without a change of Pillow's global one.
@contextlib.contextmanager
def _open(kind: str, plugin: Callable[..., Any], path: Path, index: int | None) -> Iterator[_Opened]:
    with plugin(str(path)) as picture:
        _check_size(path, picture)
        frames = int(getattr(picture, "n_frames", 1))
        frame = check_index(path, index, frames)
        for at in range(1, frame + 1):
            picture.seek(at)
            _check_size(path, picture)
        yield _Opened(picture, frames, kind == "PNG" and frame == 0 and _is_deep(path))


def _check_size(path: Path, picture: ImageFile) -> None:
    check_size(path, (len(picture.getbands()), picture.height, picture.width), 1, pixels=True)


def _read(kind: str, plugin: Callable[..., Any], path: Path, entry: str | None, index: int | None) -> Image:
    check_no_entry(path, entry, kind)
    with (
        decoding(path, kind, PillowImage.DecompressionBombError),
        _open(kind, plugin, path, index) as opened,
    ):
        picture = opened.picture
        if kind == "PNG":
            check_chunks(path)
        orientation = orientation_of(picture.info.get("exif") or b"")
        spacing = _spacing(kind, picture)
        notes: tuple[str, ...] = (
            (f"the first of {opened.frames} frames",) if opened.frames > 1 and index is None else ()
        )
        array, palette, more = _deep_pixels(path) if opened.deep else _pixels(picture)
    if orientation > 1:
        notes += (turned_note(orientation),)
        array, spacing = orient(array, orientation), turned(spacing, orientation)
    return Image(array, spacing, path, palette, notes=notes + more)


def _probe(kind: str, plugin: Callable[..., Any], path: Path, entry: str | None, index: int | None) -> Header:
    check_no_entry(path, entry, kind)
    with (
        decoding(path, kind, PillowImage.DecompressionBombError),
        _open(kind, plugin, path, index) as opened,
    ):
        picture = opened.picture
        orientation = orientation_of(picture.info.get("exif") or b"")
        shape = (picture.height, picture.width)
        return Header(
            channels=_CHANNELS.get(picture.mode, 1) if not opened.deep else 3 - 2 * _is_grey(path),
            shape=shape[::-1] if orientation > 4 else shape,
            dtype=opened.dtype,
            spacing=turned(_spacing(kind, picture), orientation),
            frames=opened.frames,
            palette=picture.mode == "P",
        )


def _pixels(picture: ImageFile) -> tuple[NDArray[Any], NDArray[np.uint8] | None, tuple[str, ...]]:
    """Array (C, Y, X), palette and notes of the frame that is open."""
    picture.load()
    match picture.mode:
        case "1":
            return np.where(np.asarray(picture), np.uint8(255), np.uint8(0))[None], None, ()
        case "L" | "I" | "F" | "I;16" | "I;16B":
            array = np.array(picture)[None]
            return array.astype(array.dtype.newbyteorder("="), copy=False), None, ()
        case "P":
            palette = np.array(picture.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
            notes = (
                ("transparent palette colours are shown opaque",) if "transparency" in picture.info else ()
            )
            return np.array(picture)[None], palette, notes
        case "RGB":
            return channel_first(np.asarray(picture)), None, ()
        case "LA" | "RGBA":
            array, note = drop_alpha(channel_first(np.asarray(picture)))
            return array, None, (note,)
        case mode:
            return channel_first(np.asarray(picture.convert("RGB"))), None, (f"{mode} was converted to RGB",)


def _is_deep(path: Path) -> bool:
    """Whether a PNG has 16 bits a channel and several channels."""
    with path.open("rb") as handle:
        head = handle.read(26)
    return len(head) == 26 and head[24] == 16 and head[25] != 0


def _is_grey(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(26)[25] == 4


def _deep_pixels(path: Path) -> tuple[NDArray[Any], None, tuple[str, ...]]:
    import imagecodecs

    array = channel_first(np.asarray(imagecodecs.png_decode(path.read_bytes())))
    if len(array) in (2, 4):
        array, note = drop_alpha(array)
        return array, None, (note,)
    return array, None, ()


def check_chunks(path: Path) -> None:
    """Raise ImageError where the chunks of a PNG do not reach its end mark, or one is not what its sum says.

    Cut short, libpng would fill with zeros; damaged, Pillow would read pixels without looking at their sums.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        position = 8
        while position + 12 <= size:
            handle.seek(position)
            length, name = struct.unpack(">I4s", handle.read(8))
            position += 12 + length
            if name[:1].isupper() and position <= size:
                content, (stored,) = handle.read(length), struct.unpack(">I", handle.read(4))
                if zlib.crc32(name + content) != stored:
                    raise ImageError(f"{path}: is a PNG file with damaged bytes. Export or copy it again")
            if name == b"IEND" and position <= size:
                return
    raise ImageError(f"{path}: is a PNG file that is cut short. Export or copy it again")


def _spacing(kind: str, picture: ImageFile) -> Spacing:
    """Our own exact text first, then PNG pHYs, the JFIF density or the BMP resolution."""
    text = picture.info.get(SPACING_KEY)
    if kind == "PNG" and isinstance(text, str):
        try:
            return parse_spacing(text[:100])
        except ImageError:
            pass
    unit_um, density = INCH_UM, picture.info.get("dpi")
    if kind == "JPEG":
        unit_um = {1: INCH_UM, 2: CM_UM}.get(picture.info.get("jfif_unit", 0), 0.0)
        density = picture.info.get("jfif_density") if unit_um else None
    if not density or kind == "GIF":
        return unknown_spacing(2)
    per_x, per_y = density
    return spacing_from_density(float(per_y), float(per_x), unit_um) or unknown_spacing(2)


def _reader(name: str, suffixes: tuple[str, ...], plugin: Callable[..., Any], *magic: bytes) -> Reader:
    return Reader(
        name=name,
        suffixes=suffixes,
        sniff=lambda head: head.startswith(magic),
        read=partial(_read, name, plugin),
        probe=partial(_probe, name, plugin),
    )


PNG = _reader("PNG", (".png",), PngImageFile, b"\x89PNG\r\n\x1a\n")
JPEG = _reader("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), jpeg_factory, b"\xff\xd8\xff")
BMP = _reader("BMP", (".bmp", ".dib"), BmpImageFile, b"BM")
GIF = _reader("GIF", (".gif",), GifImageFile, b"GIF87a", b"GIF89a")
