"""The files in a folder or a zip that may be DICOM, read within limits and never extracted."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hilum.errors import ImageError
from hilum.image.limits import LIMIT_BYTES

_MOST_FILES = 50_000
_LARGEST_FILE = 1 << 30
# A zip that claims to swell more than this is a bomb: CT slices shrink two to ten times.
_BEST_RATIO = 200

Loader = Callable[[], bytes]


def files_in(path: Path) -> Iterator[tuple[str, Loader]]:
    """Name and loader of each file in a folder (with its subfolders), a zip, or of one file.

    Names serve messages only: nothing is extracted, so no name in a zip can leave its place. Raises
    ImageError where there are too many files, or a zip is damaged, encrypted or a bomb.
    """
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        if len(inside) > _MOST_FILES:
            raise ImageError(
                f"{path}: holds {len(inside)} files, above {_MOST_FILES}; name the folder of one scan"
            )
        for file in inside:
            yield str(file.relative_to(path)), _loader(file)
    elif path.is_file() and zipfile.is_zipfile(path):
        yield from _zipped(path)
    elif path.is_file():
        yield path.name, _loader(path)
    else:
        raise ImageError(f"{path}: is neither a folder nor a file")


def _loader(file: Path) -> Loader:
    def load() -> bytes:
        try:
            if file.stat().st_size > _LARGEST_FILE:
                raise ImageError(f"{file}: is larger than {_LARGEST_FILE:,} bytes, which no slice is")
            return file.read_bytes()
        except OSError as error:
            raise ImageError(f"{file}: cannot be read ({error.strerror})") from error

    return load


def _zipped(path: Path) -> Iterator[tuple[str, Loader]]:
    try:
        # Stays open as long as a loader lives; reading its directory anew for each slice would be slow.
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
        raise ImageError(f"{path}: is a damaged zip ({error}); fetch or pack it again") from error
    members = [member for member in archive.infolist() if not member.is_dir()]
    _check_zip(path, members)
    for member in members:
        yield member.filename, _member_loader(path, archive, member)


def _check_zip(path: Path, members: list[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    packed = max(path.stat().st_size, 1)
    if len(members) > _MOST_FILES or total > LIMIT_BYTES or total > packed * _BEST_RATIO + (1 << 20):
        raise ImageError(
            f"{path}: {len(members)} files that swell from {packed:,} to {total:,} bytes; at most "
            f"{_MOST_FILES} files, {LIMIT_BYTES:,} bytes and {_BEST_RATIO} times are read"
        )
    for member in members:
        if member.flag_bits & 1:
            raise ImageError(f"{path}: {member.filename} is encrypted; unpack the zip yourself first")
        if member.file_size > _LARGEST_FILE:
            raise ImageError(
                f"{path}: {member.filename} is larger than {_LARGEST_FILE:,} bytes, which no slice is"
            )


def _member_loader(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Loader:
    def load() -> bytes:
        try:
            return archive.read(member)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            OSError,
            EOFError,
            zlib.error,
        ) as error:
            raise ImageError(
                f"{path}: {member.filename} in it is damaged ({error}); pack it again"
            ) from error

    return load
