"""Spans of pixels that change together: how strokes travel, are kept, done and undone."""

from __future__ import annotations

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError

Spans = NDArray[np.uint32]
_PAIR_BYTES = 8


def spans_of(mask: NDArray[np.bool_]) -> Spans:
    """Where a plane (Y, X) is True, row by row: pairs of first pixel and length (N, 2).

    >>> spans_of(np.array([[True, True], [False, True]])).tolist()
    [[0, 2], [3, 1]]
    """
    edges = np.flatnonzero(np.diff(mask.ravel().astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return np.column_stack([edges[:, 0], edges[:, 1] - edges[:, 0]]).astype(np.uint32)


def toggled(plane: NDArray[np.bool_], spans: Spans) -> NDArray[np.bool_]:
    """A plane (Y, X) in which every pixel of the spans is the other way round; twice is as before.

    >>> toggled(np.array([[True, False]]), np.array([[0, 2]], np.uint32)).tolist()
    [[False, True]]
    """
    change = np.zeros(plane.size + 1, np.int8)
    np.add.at(change, spans[:, 0], 1)
    np.add.at(change, spans.sum(axis=1), -1)
    return np.asarray(plane ^ (np.cumsum(change[:-1], dtype=np.int8) % 2 == 1).reshape(plane.shape), bool)


def to_bytes(spans: Spans) -> bytes:
    """Spans as little-endian 32-bit numbers, as the page reads them."""
    return bytes(np.ascontiguousarray(spans, "<u4").tobytes())


def from_bytes(content: bytes, pixels: int) -> Spans:
    """Spans from the page. Raises HilumError where they are not pairs inside a plane of so many pixels."""
    if len(content) % _PAIR_BYTES or len(content) > _PAIR_BYTES * (pixels + 1):
        raise HilumError(f"a stroke of {len(content)} bytes is none: it holds pairs of 32-bit numbers")
    spans = np.frombuffer(content, "<u4").reshape(-1, 2)
    ends = spans.astype(np.int64).sum(axis=1)
    if spans.size and (int(ends.max()) > pixels or not spans[:, 1].all()):
        raise HilumError(f"a stroke leaves the image of {pixels:,} pixels; load the image again")
    return spans.astype(np.uint32)


def to_text(spans: Spans) -> str:
    """Spans as text of one line, for the journal."""
    return base64.b64encode(to_bytes(spans)).decode("ascii")


def from_text(text: str, pixels: int) -> Spans:
    """Spans from the journal. Raises HilumError for anything else."""
    try:
        return from_bytes(base64.b64decode(text, validate=True), pixels)
    except (binascii.Error, ValueError) as error:
        if isinstance(error, HilumError):
            raise
        raise HilumError(f"a stroke in the journal is damaged ({error})") from error
