"""What a file may ask of this machine, and how a reader's failures become one clear ImageError."""

from __future__ import annotations

import contextlib
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import ParseError

from hilum.errors import HilumError, ImageError

LIMIT_PIXELS = 400_000_000
LIMIT_BYTES = 4 * 1024**3
# No common codec makes more of a byte (deflate about 1000, a 1-bit image kept as bytes 8 times that),
# so a small file that declares a huge image is damaged or hostile. Small images are let through as they are.
LIMIT_RATIO = 20_000
FLOOR_BYTES = 64 * 1024**2

DECODER_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    ParseError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def shown(path: Path | str) -> str:
    r"""A path as one printable line, whatever bytes its name is made of.

    >>> shown("a\nb.png")
    'a\\nb.png'
    """
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in str(path))


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


@contextlib.contextmanager
def decoding(path: Path, kind: str, *more: type[Exception]) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged `kind` file into an ImageError; `more` adds error types."""
    try:
        yield
    except HilumError:
        raise
    except MemoryError as error:
        raise ImageError(f"{shown(path)}: there is not enough memory to read this {kind} file") from error
    except (*DECODER_ERRORS, *more) as error:
        if isinstance(error, OSError) and error.errno and error.strerror:
            raise ImageError(f"{shown(path)}: cannot be read ({error.strerror})") from error
        reason = shown(" ".join(str(error).split()))[:200] or type(error).__name__
        raise ImageError(
            f"{shown(path)}: is a damaged or cut short {kind} file ({reason}). Export or copy it again"
        ) from error


def check_size(path: Path, shape: Sequence[int], itemsize: int, pixels: bool = False) -> None:
    """Refuse an array of `shape` and `itemsize` bytes an element before any memory is taken for it.

    With `pixels` True the last two axes of `shape` are held to LIMIT_PIXELS as well. Raises ImageError
    where there is no pixel, or more than LIMIT_BYTES, or far more than the size of the file can hold.
    """
    size = math.prod(shape) * itemsize
    declared = f"{shown(path)}: declares {' x '.join(map(str, shape))} pixels"
    if size <= 0 or min(shape) <= 0:
        raise ImageError(f"{declared}: an image needs at least one")
    if pixels and math.prod(shape[-2:]) > LIMIT_PIXELS:
        raise ImageError(
            f"{declared}, more than the limit of {LIMIT_PIXELS // 10**6} million that are read at once. "
            "Cut it into parts or shrink it"
        )
    if size > LIMIT_BYTES:
        raise ImageError(
            f"{declared}, {size / 1024**3:.1f} GiB, more than the limit of {LIMIT_BYTES // 1024**3} GiB. "
            "Cut it into parts or shrink it"
        )
    stored = path.stat().st_size
    if size > max(FLOOR_BYTES, LIMIT_RATIO * stored):
        raise ImageError(f"{declared}, far more than a file of {stored} bytes can hold: it is damaged")


def check_no_entry(path: Path, entry: str | None, kind: str) -> None:
    """Raise ImageError where an entry is asked of a file that has none."""
    if entry is not None:
        raise ImageError(f"{shown(path)}: a {kind} file has no entry {entry!r}; leave the entry out")


def check_index(path: Path, index: int | None, frames: int) -> int:
    """The frame asked for, 0 for None. Raises ImageError where the file has no such frame."""
    if index is not None and not 0 <= index < frames:
        allowed = "only index 0" if frames == 1 else f"index 0 to {frames - 1}"
        raise ImageError(f"{shown(path)}: frame {index} was asked for, but {allowed} can be")
    return index or 0
