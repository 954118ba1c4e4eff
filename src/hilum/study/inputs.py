"""The files that a case is read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hilum.study.names import DETACHED
from hilum.study.open import sources_of
from hilum.study.study import Case

_DATA_SUFFIXES = (".raw", ".zraw", ".raw.gz", ".img")


def files_of(case: Case) -> tuple[Path, ...]:
    """Every file behind image, channels and masks, sorted: data beside headers and slices in folders too."""
    return tuple(sorted({file for source in sources_of(case) for file in _files(source.path)}))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
        return
    yield path
    if path.suffix.lower() in DETACHED:
        yield from (data for suffix in _DATA_SUFFIXES if (data := path.with_suffix(suffix)).is_file())
