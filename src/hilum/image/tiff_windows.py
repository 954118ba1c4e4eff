"""Windows of TIFF files: only the strips or tiles that a window touches are read and decoded."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.image.limits import decoding, shown
from hilum.image.pyramid import SEGMENT_BYTES, Pyramid, make_levels
from hilum.image.tiff_colours import CMYK, PALETTE, YCBCR, channels_of, stored_orientation, to_colours
from hilum.image.tiff_directories import check_directories
from hilum.image.tiff_spacing import read_spacing

CACHE_BYTES = 96 * 1024**2
_LETTERS = "CSYX"


@dataclass
class _Segments:
    """Decoded strips and tiles that were used last, by level, page and number."""

    kept: OrderedDict[tuple[int, int, int], NDArray[Any]] = field(default_factory=OrderedDict)
    size: int = 0

    def get(self, key: tuple[int, int, int]) -> NDArray[Any] | None:
        found = self.kept.get(key)
        if found is not None:
            self.kept.move_to_end(key)
        return found

    def put(self, key: tuple[int, int, int], segment: NDArray[Any]) -> None:
        self.kept[key] = segment
        self.size += segment.nbytes
        while self.size > CACHE_BYTES and len(self.kept) > 1:
            self.size -= self.kept.popitem(last=False)[1].nbytes


def open_tiff(path: Path, mask: bool = False) -> Pyramid:
    """The first image of a TIFF file with its smaller levels, to be read window by window.

    A `mask` keeps its values where white is 0 by its writer's habit.
    Raises ImageError for damaged files, stacks, palettes and segments that are too large.
    """
    with decoding(path, "TIFF"), contextlib.ExitStack() as stack:
        check_directories(path)
        found = _pyramid(path, stack.enter_context(tifffile.TiffFile(path, _multifile=False)), mask)
        stack.pop_all()
        return found


def _pyramid(path: Path, tif: Any, mask: bool) -> Pyramid:
    series = tif.series[0] if tif.series else None
    if series is None or series.dtype is None or series.dtype.kind not in "buif":
        found = series.dtype if series else "no"
        raise ImageError(f"{shown(path)}: has {found} pixels; whole numbers or floats are needed")
    letters = str(series.get_axes(squeeze=True))
    if set(letters) - set(_LETTERS) or letters.count("Y") != 1 or letters.count("X") != 1:
        raise ImageError(
            f"{shown(path)}: is a stack with axes {letters}; window by window single planes are read"
        )
    page = series.keyframe
    if page.photometric == PALETTE or stored_orientation(page) != 1:
        what = "a palette" if page.photometric == PALETTE else "a turned orientation"
        raise ImageError(
            f"{shown(path)}: has {what}, which is not read window by window; save it as RGB or grey"
        )
    levels = [level for level in series.levels if _alike(level, series)]
    shapes = [(int(level.keyframe.imagelength), int(level.keyframe.imagewidth)) for level in levels]
    kept = make_levels(shapes)
    chosen = [levels[shapes.index(level.shape)] for level in kept]
    for level in chosen:
        _check(path, level)
    segments, channels = _Segments(), _channels(series)
    # pixels of one bit at this size are a mask, whatever they are opened as
    mask = mask or series.dtype == bool

    # an alpha is left out unseen: one window does not tell what it is for, and all need the same channels
    shown_samples = channels if page.photometric in (CMYK, YCBCR) else channels_of(page, channels)

    def coloured(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
        pixels, _, told = to_colours(path, page, array[:shown_samples], mask)
        return pixels, told

    def read(level: int, y: int, x: int, h: int, w: int) -> NDArray[Any]:
        parts = [
            _page_window(tif, each, (level, at), segments, (y, x, h, w))
            for at, each in enumerate(_pages(chosen[level]))
        ]
        array = np.concatenate(parts) if len(parts) > 1 else parts[0]
        return np.ascontiguousarray(coloured(array)[0])

    spacing, notes = read_spacing(tif, page, False)
    notes += coloured(np.zeros((channels, 1, 1), series.dtype))[1]
    dtype = np.dtype(np.uint8) if series.dtype == bool else np.dtype(series.dtype).newbyteorder("=")
    return Pyramid(path, channels_of(page, channels), dtype, spacing, kept, read, tif.close, notes)


def _channels(series: Any) -> int:
    return math.prod(
        size
        for letter, size in zip(series.get_axes(squeeze=True), series.get_shape(squeeze=True), strict=True)
        if letter in "CS"
    )


def _alike(level: Any, first: Any) -> bool:
    """Whether a smaller level has the pixels of the first: as many channels, of the same type."""
    return (
        level.dtype == first.dtype
        and len(_pages(level)) == len(_pages(first))
        and level.keyframe.samplesperpixel == first.keyframe.samplesperpixel
    )


def _pages(series: Any) -> list[Any]:
    return list(series.pages)


def _check(path: Path, level: Any) -> None:
    """Raise ImageError where a level's segments are too large, or lie beyond the end of the file."""
    size = path.stat().st_size
    for page in _pages(level):
        if page is None:
            raise ImageError(f"{shown(path)}: declares planes that it does not hold. Save it as one file")
        offsets, counts = np.array(page.dataoffsets, np.float64), np.array(page.databytecounts, np.float64)
        if len(offsets) != len(counts) or (offsets + counts > size).any():
            raise ImageError(
                f"{shown(path)}: its pixels run beyond its end; it is cut short or damaged. Copy it again"
            )
    frame = level.keyframe
    # of JPEG and its like a segment's own header tells its size, which the tag may understate
    decoded = math.prod(frame.chunks) * frame.dtype.itemsize
    if decoded > SEGMENT_BYTES and not _plain(frame):
        raise ImageError(
            f"{shown(path)}: its strips or tiles hold {decoded / 1e6:.0f} MB each, too much to be read by "
            "windows; save it as a TIFF with tiles of 512 x 512 pixels"
        )


def _plain(page: Any) -> bool:
    """Whether rows of a page can be read without decoding anything."""
    bits = page.bitspersample
    return (
        not page.is_tiled
        and page.compression == 1
        and page.predictor == 1
        and page.fillorder == 1
        and isinstance(bits, int)
        and bits == page.dtype.itemsize * 8
        and not page.is_subsampled
    )


def _page_window(
    tif: Any, page: Any, key: tuple[int, int], segments: _Segments, window: tuple[int, int, int, int]
) -> NDArray[Any]:
    """A window (S, h, w) of one page."""
    if _plain(page.keyframe):
        return _rows(tif, page, window)
    frame = page.keyframe
    y, x, h, w = window
    planes = frame.samplesperpixel if frame.planarconfig == 2 else 1
    tall, wide = _segment_shape(frame)
    down, across = -(-frame.imagelength // tall), -(-frame.imagewidth // wide)
    out = np.zeros((frame.samplesperpixel, h, w), frame.dtype.newbyteorder("="))
    rows, columns = range(y // tall, (y + h - 1) // tall + 1), range(x // wide, (x + w - 1) // wide + 1)
    for plane, row, column in itertools.product(range(planes), rows, columns):
        segment = _segment(tif, page, (*key, (plane * down + row) * across + column), segments)
        if segment is None:
            continue
        top, left = row * tall, column * wide
        y0, y1 = max(y, top), min(y + h, top + segment.shape[0])
        x0, x1 = max(x, left), min(x + w, left + segment.shape[1])
        if y1 > y0 and x1 > x0:
            part = segment[y0 - top : y1 - top, x0 - left : x1 - left]
            lead = slice(plane, plane + 1) if planes > 1 else slice(None)
            out[lead, y0 - y : y1 - y, x0 - x : x1 - x] = np.moveaxis(part, -1, 0)
    return out


def _segment_shape(frame: Any) -> tuple[int, int]:
    if frame.is_tiled:
        return int(frame.tilelength), int(frame.tilewidth)
    return min(int(frame.rowsperstrip), int(frame.imagelength)), int(frame.imagewidth)


def _segment(tif: Any, page: Any, key: tuple[int, int, int], segments: _Segments) -> NDArray[Any] | None:
    """One decoded strip or tile (h, w, S); None for one that the file leaves out."""
    found = segments.get(key)
    if found is not None:
        return found
    index = key[2]
    if index >= len(page.databytecounts) or not page.databytecounts[index]:
        return None
    tif.filehandle.seek(page.dataoffsets[index])
    data = tif.filehandle.read(page.databytecounts[index])
    frame = page.keyframe
    more = {} if frame.jpegheader is None else {"jpegheader": frame.jpegheader}
    decoded = frame.decode(data, index, jpegtables=frame.jpegtables, **more)[0]
    if decoded is None:
        return None
    segment: NDArray[Any] = np.asarray(decoded)[0]
    segments.put(key, segment)
    return segment


def _rows(tif: Any, page: Any, window: tuple[int, int, int, int]) -> NDArray[Any]:
    """A window (S, h, w) of an uncompressed page of strips, read row by row from where it lies."""
    frame = page.keyframe
    y, x, h, w = window
    apart = frame.planarconfig == 2 and frame.samplesperpixel > 1
    planes, samples = (frame.samplesperpixel, 1) if apart else (1, frame.samplesperpixel)
    dtype = np.dtype(frame.dtype).newbyteorder(tif.byteorder)
    pixel = samples * dtype.itemsize
    strip = min(int(frame.rowsperstrip), int(frame.imagelength))
    strips = -(-frame.imagelength // strip)
    out = np.zeros((planes, h, w, samples), frame.dtype.newbyteorder("="))
    for plane, row in itertools.product(range(planes), range(y, y + h)):
        index = plane * strips + row // strip
        if not page.databytecounts[index]:
            continue
        at = page.dataoffsets[index] + (row % strip * frame.imagewidth + x) * pixel
        tif.filehandle.seek(at)
        data = tif.filehandle.read(w * pixel)
        out[plane, row - y] = np.frombuffer(data, dtype).reshape(w, samples)
    return out[..., 0] if apart else np.moveaxis(out[0], -1, 0)
