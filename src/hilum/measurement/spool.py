"""Rows of a table that grows with the number of images: kept on disk, so that memory does not grow."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from hilum.errors import HilumError

Row = dict[str, Any]
IN_MEMORY_BYTES = 1_000_000


class Spool(Collection[Row]):
    """Rows in the order they came, as JSON lines in a temporary file beyond a megabyte.

    Numbers, text, truth values and NaN come back as they were. Raises HilumError where the disk is full.

    >>> spool = Spool()
    >>> spool.extend([{"case": "a", "pixels": 3}, {"case": "b", "share": 0.5}])
    >>> len(spool), spool.columns, list(spool)[1]
    (2, ('case', 'pixels', 'share'), {'case': 'b', 'share': 0.5})
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, "w+", encoding="utf-8")  # noqa: SIM115
        self._count = 0
        self._columns: dict[str, None] = {}
        self.extend(rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all rows, in order of appearance."""
        return tuple(self._columns)

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put rows behind those that are there."""
        try:
            self._file.seek(0, 2)
            for row in rows:
                self._file.write(json.dumps(row, default=_plain) + "\n")
                self._columns.update(dict.fromkeys(row))
                self._count += 1
        except OSError as error:
            raise HilumError(
                f"{tempfile.gettempdir()}: no room for the rows of the tables ({error.strerror or error}); "
                "free some space, or set TMPDIR to a folder with more"
            ) from error

    def __iter__(self) -> Iterator[Row]:
        """Rows one after the other; none may be added meanwhile."""
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row: object) -> bool:
        return any(row == one for one in self)


def columns_of(rows: Collection[Row]) -> tuple[str, ...]:
    """The columns of rows, in order of appearance."""
    return (
        rows.columns if isinstance(rows, Spool) else tuple(dict.fromkeys(key for row in rows for key in row))
    )


def chunked(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Rows in lists of at most `size`.

    >>> [len(part) for part in chunked([{}] * 5, 2)]
    [2, 2, 1]
    """
    source = iter(rows)
    while part := list(islice(source, size)):
        yield part


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is nothing that a table holds")
