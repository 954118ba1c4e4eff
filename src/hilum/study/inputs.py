"""The files that a case is read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hilum.errors import ImageError
from hilum.image.volume_headers import declared
from hilum.study.names import DETACHED
from hilum.study.study import Case, Source


def sources_of(case: Case) -> Iterator[Source]:
    """Every source of a case: image, channels, masks."""
    yield case.image
    yield from case.channels
    for mask in case.masks.values():
        yield from mask.sources


def files_of(case: Case) -> tuple[Path, ...]:
    """Every file behind image, channels and masks, sorted: data of headers and slices in folders too."""
    return tuple(sorted({file for source in sources_of(case) for file in _files(source.path)}))


def with_data(path: Path) -> tuple[Path, ...]:
    """A file, with the file of voxels that it names where it is a header of its own.

    A damaged header, which the study's check tells of, names none.
    """
    if path.suffix.lower() not in DETACHED:
        return (path,)
    try:
        data = declared(path).data
    except ImageError:
        return (path,)
    return (path, data) if data.is_file() and data != path else (path,)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    else:
        yield from with_data(path)
