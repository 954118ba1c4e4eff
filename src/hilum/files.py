"""Files that appear whole or not at all: written beside, flushed, renamed."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.errors import HilumError, RunError

LIMIT_NAME = 240
_TRUTH = {"True": True, "False": False}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Held while NumPy reads the header of an array: it does so by `ast.literal_eval`, and Python 3.11 counts the
# depth of syntax trees for all threads together, so that two at once can end in a SystemError. A few threads
# that read headers while memory is collected show it (tests/image/test_arrays.py).
NUMPY_HEADER = threading.RLock()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it is flushed to disk and renamed to `path`.

    Raises HilumError where the disk refuses (full, read-only, folder gone); `path` is then as before.
    """
    path = Path(path)
    beside = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("rb") as handle:
            os.fsync(handle.fileno())
        beside.replace(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError) or error.errno:
            advice = "; free some room and try again" if error.errno in _FULL else ""
            raise HilumError(f"{path}: cannot be written ({error.strerror or error}){advice}") from error
        raise
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def stays_inside(name: str) -> bool:
    r"""Whether a name from a file of somebody else can be a path below a folder, and no other.

    >>> stays_inside("train/a 1.b"), stays_inside("../a"), stays_inside("/a"), stays_inside("a\0")
    (True, False, False, False)
    """
    parts = name.replace("\\", "/").split("/")
    odd = any(part in ("", ".", "..") or len(part.encode(errors="replace")) > LIMIT_NAME for part in parts)
    control = any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
    return not odd and not control and not re.match(r"[A-Za-z]:", name)


def as_text(name: str) -> str:
    r"""A name as UTF-8 can hold it: other bytes, which come as surrogates, are written out.

    >>> as_text("café.png"), as_text("caf\udce9.png")
    ('café.png', 'caf\\udce9.png')
    """
    return name.encode(errors="backslashreplace").decode()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all. Raises HilumError where it holds a name that is not UTF-8."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        found = as_text(text[max(error.start - 40, 0) : error.end + 40])
        where = as_text(str(path))
        raise HilumError(
            f"{where}: would hold a name that is not UTF-8 (in {found!r}); rename that file or folder"
        ) from error
    write_bytes(path, content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole_file(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON that people can read; NaN becomes null."""
    write_text(path, json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n")


def write_rows(
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    digits: int | None = None,
) -> None:
    """Write rows as CSV: these `columns`, or every key in the order of its first row; NaN as nothing.

    Fractions are cut to so many significant `digits`.
    """
    rows = list(rows)
    text = io.StringIO()
    named = dict.fromkeys(key for row in rows for key in row) if columns is None else columns
    writer = csv.DictWriter(text, list(named), restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value, digits) for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any, digits: int | None) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, float):
        return value
    if value != value:
        return ""
    return f"{value:.{digits}g}" if digits else value


def read_rows(path: Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a table of a run, as `write_rows` writes them; cells as text.

    Raises RunError where it cannot be read or has not every `needed` column.
    """
    again = "make it again with: hilum evaluate RUN"
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle, restval="")
            rows = [{name: row[name] for name in reader.fieldnames or ()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({error}); {again}") from error
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise RunError(f"{path}: has no column {', '.join(missing)}; {again}")
    return rows


def with_values(rows: Sequence[Mapping[str, str]], texts: Collection[str]) -> list[dict[str, Any]]:
    """Rows of text with the values that were written: columns named in `texts` stay text.

    The others are whole numbers, true or false, or floats with NaN for nothing, whichever fits the column.

    >>> with_values([{"case": "001", "dice": "0.5"}, {"case": "NA", "dice": ""}], ["case"])
    [{'case': '001', 'dice': 0.5}, {'case': 'NA', 'dice': nan}]
    """
    names = list(rows[0]) if rows else []
    columns = [[row[name] for row in rows] for name in names]
    read = [cells if name in texts else _values(cells) for name, cells in zip(names, columns, strict=True)]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*read, strict=True)]


def _values(cells: Sequence[str]) -> Sequence[Any]:
    if all(cell in _TRUTH for cell in cells):
        return [_TRUTH[cell] for cell in cells]
    with contextlib.suppress(ValueError):
        return [int(cell) for cell in cells]
    with contextlib.suppress(ValueError):
        return [float(cell or "nan") for cell in cells]
    return cells


def read_text(
    path: Path, limit_bytes: int = 64_000_000, refusal: type[HilumError] = RunError, kind: str = "Hilum file"
) -> str:
    """Read UTF-8 text of at most `limit_bytes`, with a byte order mark or without.

    Raises `refusal` where it is missing, larger than a file of this `kind` is, or no text.
    """
    try:
        if path.stat().st_size > limit_bytes:
            raise refusal(f"{path}: larger than {limit_bytes:,} bytes, which no {kind} is")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise refusal(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise refusal(f"{path}: is not text in UTF-8 ({error.reason}); save it as UTF-8 again") from error


def read_json(path: Path, limit_bytes: int = 64_000_000) -> Any:
    """Read JSON of at most `limit_bytes`. Raises RunError where it is missing or damaged."""
    try:
        return json.loads(read_text(path, limit_bytes))
    except (ValueError, RecursionError) as error:
        if isinstance(error, HilumError):
            raise
        raise RunError(f"{path}: is not valid JSON ({error})") from error


def plain(value: Any) -> Any:
    """A value as JSON holds it: mappings and lists, paths as text, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
