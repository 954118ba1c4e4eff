"""Fields of huge images: a window of a file, named like an entry of it, read as an image of its own."""

from __future__ import annotations

from pathlib import Path

from hilum.errors import ImageError
from hilum.image.image import Image
from hilum.image.limits import check_size, shown
from hilum.image.pyramid import FIELD, Pyramid, open_pyramid
from hilum.image.readers import Header


def field_entry(y: int, x: int, h: int, w: int) -> str:
    """The name of a window from row `y` and column `x` on, `h` high and `w` wide.

    >>> field_entry(0, 2048, 512, 1024)
    'field 0,2048 512x1024'
    """
    return f"field {y},{x} {h}x{w}"


def read_field(path: Path, entry: str | None = None, mask: bool = False) -> Image:
    """A window of a huge image, or `mask`, as an Image of its own, with its spacing; all without an entry.

    Raises ImageError where the file has no such window, or cannot be read window by window.
    """
    with open_pyramid(path, mask) as pyramid:
        y, x, h, w = _box(pyramid, entry)
        check_size(path, (pyramid.channels, h, w), pyramid.dtype.itemsize, pixels=True)
        return Image(pyramid.read_window(y, x, h, w), pyramid.spacing, path, notes=pyramid.notes)


def probe_field(path: Path, entry: str | None = None) -> Header:
    """What is known of a window without decoding it. Raises ImageError as `read_field` does."""
    with open_pyramid(path) as pyramid:
        y, x, h, w = _box(pyramid, entry)
        height, width = pyramid.shape
        if y + h > height or x + w > width:
            raise ImageError(f"{shown(path)}: {entry} lies outside of {height} x {width} pixels")
        return Header(pyramid.channels, (h, w), pyramid.dtype, pyramid.spacing)


def _box(pyramid: Pyramid, entry: str | None) -> tuple[int, int, int, int]:
    if entry is None:
        return 0, 0, *pyramid.shape
    found = FIELD.fullmatch(entry)
    if found is None or int(found[3]) < 1 or int(found[4]) < 1:
        raise ImageError(f"{shown(pyramid.path)}: {entry!r} names no field; write 'field Y,X HxW'")
    return int(found[1]), int(found[2]), int(found[3]), int(found[4])
