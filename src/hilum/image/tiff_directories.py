"""The directories of a TIFF file, walked and checked before a decoder trusts them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hilum.errors import ImageError
from hilum.image.limits import shown

# Bytes of one value of each TIFF type, by type number; 0 for numbers that no standard gives.
_TYPE_BYTES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 2, 8, 8, 8, 8], np.uint64)
_CLASSIC, _BIG = 42, 43


def is_tiff(head: bytes) -> bool:
    """Whether the first bytes are those of a TIFF or BigTIFF file of either byte order."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_directories(path: Path) -> int:
    """Walk all directories of a TIFF file and return how many it has.

    Raises ImageError where one lies outside the file, is met twice (a loop), or has tags whose values
    lie outside the file. The work grows with the size of the file and no further.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        return sum(1 for _ in _walk(path, handle, size))


def _walk(path: Path, handle: BinaryIO, size: int) -> Iterator[int]:
    head = handle.read(16)
    if len(head) < 8:
        raise ImageError(f"{shown(path)}: is a TIFF file that is cut short. Export or copy it again")
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == _BIG
    if big and len(head) < 16:
        raise ImageError(f"{shown(path)}: is a TIFF file that is cut short. Export or copy it again")
    offset = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])[0]
    seen: set[int] = set()
    spent = 0
    while offset:
        if offset in seen:
            raise ImageError(
                f"{shown(path)}: its TIFF directories run in a loop; it is damaged. Export it again"
            )
        seen.add(offset)
        yield offset
        offset, length = _directory(path, handle, size, offset, order, big)
        spent += length
        if spent > size:
            raise ImageError(f"{shown(path)}: its TIFF directories overlap; it is damaged. Export it again")
    if not seen:
        raise ImageError(f"{shown(path)}: is a TIFF file without an image")


def _directory(
    path: Path, handle: BinaryIO, size: int, offset: int, order: str, big: bool
) -> tuple[int, int]:
    """Check one directory; return the offset of the next one and the bytes that this one takes."""
    count_format, word = ("Q", "Q") if big else ("H", "I")
    inline = struct.calcsize(word)
    entry = np.dtype([("code", order + "u2"), ("type", order + "u2"), ("count", f"{order}u{inline}")])
    entry_bytes = entry.itemsize + inline
    start = offset + struct.calcsize(count_format)
    handle.seek(offset)
    raw = handle.read(struct.calcsize(count_format))
    tags = struct.unpack(order + count_format, raw)[0] if len(raw) == struct.calcsize(count_format) else None
    if tags is None or start + tags * entry_bytes + inline > size:
        raise ImageError(
            f"{shown(path)}: a TIFF directory lies outside the file; it is cut short. Copy it again"
        )
    body = handle.read(tags * entry_bytes)
    _check_tags(path, size, body, entry, inline, order)
    following = struct.unpack(order + word, handle.read(inline))[0]
    return int(following), inline + len(raw) + len(body)


def _check_tags(
    path: Path, size: int, body: bytes, entry: np.dtype[np.void], inline: int, order: str
) -> None:
    full = np.dtype([*((name, entry[name]) for name in entry.names or ()), ("value", f"{order}u{inline}")])
    tags = np.frombuffer(body, full)
    kinds = np.where(tags["type"] < len(_TYPE_BYTES), tags["type"], 0)
    # In floating point, so that a hostile count cannot wrap around.
    lengths = _TYPE_BYTES[kinds].astype(np.float64) * tags["count"].astype(np.float64)
    outside = (lengths > inline) & (tags["value"].astype(np.float64) + lengths > size)
    if outside.any():
        code = int(tags["code"][outside][0])
        raise ImageError(
            f"{shown(path)}: TIFF tag {code} lies outside the file; it is cut short. Copy it again"
        )
    if lengths[lengths > inline].sum() > size:
        raise ImageError(f"{shown(path)}: its TIFF tags overlap; it is damaged. Export it again")
