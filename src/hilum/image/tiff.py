"""TIFF, BigTIFF, OME-TIFF and ImageJ stacks through tifffile and imagecodecs.

Axes are read as the file states them: channels and samples become channels, Z becomes Z. Pages without
a stated meaning are planes of a volume, or frames when an index is given. Time needs an index.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.channels import orient, turned, turned_note
from hilum.image.image import Image
from hilum.image.limits import check_index, check_no_entry, check_size, decoding, shown
from hilum.image.readers import Header, Reader
from hilum.image.tiff_colours import CHANNELS, PALETTE, YCBCR, channels_of, stored_orientation, to_colours
from hilum.image.tiff_directories import check_directories, is_tiff
from hilum.image.tiff_spacing import read_spacing

# tifffile tells of damage by logging; what matters is raised here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_CHANNEL_LETTERS = "CS"
_UNSTATED_LETTERS = "IQ"


@dataclass(frozen=True)
class _Axes:
    """Letters and sizes of a series, and the positions of the axes that an index chooses from."""

    letters: str
    sizes: tuple[int, ...]
    chosen: tuple[int, ...]

    @property
    def frames(self) -> int:
        return math.prod(self.sizes[at] for at in self.chosen)

    @property
    def channels(self) -> int:
        pairs = zip(self.letters, self.sizes, strict=True)
        return math.prod(size for letter, size in pairs if letter in _CHANNEL_LETTERS)

    @property
    def unstated(self) -> bool:
        """Whether the one axis to choose from is of pages without a stated meaning."""
        return "Z" not in self.letters and "".join(self.letters[at] for at in self.chosen) in tuple(
            _UNSTATED_LETTERS
        )

    @property
    def needs_index(self) -> bool:
        return any(self.letters[at] != "Z" for at in self.chosen) and not self.unstated

    def rest(self) -> tuple[str, tuple[int, ...]]:
        """Letters and sizes after a frame was chosen."""
        kept = [at for at in range(len(self.letters)) if at not in self.chosen]
        return "".join(self.letters[at] for at in kept), tuple(self.sizes[at] for at in kept)


def _read(path: Path, entry: str | None, index: int | None, mask: bool = False) -> Image:
    check_no_entry(path, entry, "TIFF")
    check_directories(path)
    with decoding(path, "TIFF"), _opened(path) as tif:
        series, axes = _series(path, tif, index)
        if index is None and axes.needs_index:
            raise ImageError(_ask(path, axes))
        array, notes = _decode(path, series, axes, index)
        page = series.keyframe
        array, palette, coloured = to_colours(path, page, array, mask)
        spacing, spaced = read_spacing(tif, page, array.ndim == 4)
        orientation = stored_orientation(page)
        notes += coloured + spaced + _left_out(tif, series)
        notes += (CHANNELS,) if mask and "C" in axes.letters and page.photometric in (0, 1) else ()
    if orientation > 1:
        notes += (turned_note(orientation),)
        array, spacing = orient(array, orientation), turned(spacing, orientation)
    return Image(array, spacing, path, palette, notes=notes)


def _read_mask(path: Path, entry: str | None, index: int | None) -> Image:
    return _read(path, entry, index, mask=True)


def _probe(path: Path, entry: str | None, index: int | None) -> Header:
    check_no_entry(path, entry, "TIFF")
    check_directories(path)
    with decoding(path, "TIFF"), _opened(path) as tif:
        series, axes = _series(path, tif, index)
        page = series.keyframe
        whole = index is None and not axes.needs_index
        letters, sizes = (axes.letters, axes.sizes) if whole else axes.rest()
        ordered = sorted(zip(letters, sizes, strict=True), key=lambda pair: "YX".find(pair[0]))
        shape = tuple(size for letter, size in ordered if letter not in _CHANNEL_LETTERS)
        orientation = stored_orientation(page)
        return Header(
            channels=channels_of(page, axes.channels),
            shape=(*shape[:-2], *shape[:-3:-1]) if orientation > 4 else shape,
            dtype=_type(series),
            spacing=turned(read_spacing(tif, page, len(shape) == 3)[0], orientation),
            frames=axes.frames,
            palette=page.photometric == PALETTE,
        )


def _opened(path: Path) -> tifffile.TiffFile:
    # Other files that OME-XML names are not opened: a file speaks for itself alone.
    return tifffile.TiffFile(path, _multifile=False)


def _series(path: Path, tif: Any, index: int | None) -> tuple[Any, _Axes]:
    """The first series of a file and its axes; pyramids and labels behind it are left aside."""
    series = tif.series[0] if tif.series else None
    if series is None or series.dtype is None or series.dtype.kind not in "buif":
        found = series.dtype if series else "no"
        raise ImageError(f"{shown(path)}: has {found} pixels; whole numbers or floats are needed")
    letters, sizes = str(series.get_axes(squeeze=True)), tuple(map(int, series.get_shape(squeeze=True)))
    if letters.count("Y") != 1 or letters.count("X") != 1 or letters.count("Z") > 1:
        raise ImageError(f"{shown(path)}: its TIFF axes are {letters or 'none'}; one Y and one X are needed")
    extra = tuple(at for at, letter in enumerate(letters) if letter not in "CSZYX")
    axes = _Axes(letters, sizes, extra or tuple(at for at, letter in enumerate(letters) if letter == "Z"))
    check_index(path, index, axes.frames)
    return series, axes


def _type(series: Any) -> np.dtype[Any]:
    return np.dtype(np.uint8) if series.dtype == bool else np.dtype(series.dtype).newbyteorder("=")


def _ask(path: Path, axes: _Axes) -> str:
    letters = "".join(axes.letters[at] for at in axes.chosen)
    kind = "a time series" if letters == "T" else f"a stack along {letters}"
    return (
        f"{shown(path)}: is {kind} of {axes.frames} frames; write each frame as a file of its own (in "
        f"Python: read_image(path, index=0) to {axes.frames - 1}), planes with axes ZYX, channels with CYX"
    )


def _decode(path: Path, series: Any, axes: _Axes, index: int | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The pixels asked for as (C, Y, X) or (C, Z, Y, X), decoding no more pages than needed."""
    pages = list(series.pages)
    if index is None:
        array, notes = _whole(path, series, axes, pages)
        unstated = (
            ("pages without a stated meaning were read as planes of a volume",) if axes.unstated else ()
        )
        return _arranged(array, axes.letters), notes + unstated
    letters, sizes = axes.rest()
    leading = axes.chosen == tuple(range(len(axes.chosen)))
    if leading and len(pages) >= axes.frames and len(pages) % axes.frames == 0:
        each = len(pages) // axes.frames
        pages = pages[index * each : (index + 1) * each]
        check_size(path, sizes, series.dtype.itemsize)
        notes = _check_pages(path, pages)
        return _arranged(np.stack([page.asarray() for page in pages]).reshape(sizes), letters), notes
    array, notes = _whole(path, series, axes, pages)
    front = np.moveaxis(array, axes.chosen, range(len(axes.chosen)))
    return _arranged(front.reshape(axes.frames, *sizes)[index], letters), notes


def _whole(path: Path, series: Any, axes: _Axes, pages: list[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    check_size(path, axes.sizes, series.dtype.itemsize)
    if series.dataoffset is not None and series.dataoffset + series.nbytes > path.stat().st_size:
        raise ImageError(_short(path))
    notes = _check_pages(path, pages)
    return series.asarray().reshape(axes.sizes), notes


def _arranged(array: NDArray[Any], letters: str) -> NDArray[Any]:
    """(C, Y, X) or (C, Z, Y, X) in the byte order of this machine."""
    channels = [at for at, letter in enumerate(letters) if letter in _CHANNEL_LETTERS]
    planes = [at for at, letter in enumerate(letters) if letter not in "CSYX"]
    array = array.transpose(*channels, *planes, letters.index("Y"), letters.index("X"))
    array = array.reshape(-1, *array.shape[len(channels) :])
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _check_pages(path: Path, pages: list[Any]) -> tuple[str, ...]:
    """Raise ImageError where pixels are declared that the file does not hold; note parts left blank."""
    size, blank = path.stat().st_size, 0
    for page in pages:
        if page is None:
            raise ImageError(
                f"{shown(path)}: declares planes that it does not hold. Save the image as one file"
            )
        offsets, counts = np.array(page.dataoffsets, np.float64), np.array(page.databytecounts, np.float64)
        if len(offsets) != len(counts) or (offsets + counts > size).any():
            raise ImageError(_short(path))
        empty = int((counts == 0).sum()) + max(0, math.prod(page.chunked) - len(counts))
        blank += empty
        if not empty and counts.sum() < _stored_bytes(page):
            raise ImageError(_short(path))
    return (f"{blank} strips or tiles are not stored and were read as 0",) if blank else ()


def _stored_bytes(page: Any) -> int:
    """The least bytes that the pixels of an uncompressed page take; 0 where that cannot be told."""
    keyframe = page.keyframe
    if keyframe.compression != 1 or keyframe.photometric == YCBCR:
        return 0
    bits = keyframe.bitspersample if isinstance(keyframe.bitspersample, int) else 8
    row = math.ceil(keyframe.imagewidth * keyframe.samplesperpixel * bits / 8)
    return int(keyframe.imagelength * row)


def _short(path: Path) -> str:
    return (
        f"{shown(path)}: its pixels run beyond its end; it is cut short or damaged. Copy or export it again"
    )


def _left_out(tif: Any, series: Any) -> tuple[str, ...]:
    others = len(tif.series) - 1
    left = (f"{others} further image{'s'[: others > 1]} of the file were left aside",) if others else ()
    broken = tif.is_ome and series.kind != "ome"
    return left + (
        ("its OME description was not usable or names other files, and was left aside",) if broken else ()
    )


TIFF = Reader("TIFF", (".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn"), is_tiff, _read, _probe, _read_mask)
