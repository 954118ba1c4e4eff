"""Layout: a table `study.csv` with a column `image`, targets or labels, optional group, split and spacing."""

from __future__ import annotations

import csv
import io
import math
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hilum.errors import ImageError, StudyError
from hilum.files import read_text
from hilum.image.spacing import Spacing, parse_spacing
from hilum.study.layouts.columns import (
    BLANK,
    FLAGS,
    IMAGE,
    LABELS,
    UNKNOWN_WORDS,
    Row,
    are_paths,
    delimiter,
    filled,
    flag_share,
    image_column,
    names_images,
    path_share,
    relative,
    renamed,
    stand_ins,
)
from hilum.study.layouts.pairs import UNKNOWN
from hilum.study.listing import Listing
from hilum.study.names import (
    SPLIT_WORDS,
    counted,
    image_name,
    is_mask_word,
    listed,
    stem,
    suffix,
    unique_names,
)
from hilum.study.study import Case, Finding, MaskSource, Source, Study

NAME = "study.csv"
_LIMIT_BYTES = 200_000_000
_OWN = ("image", "group", "split", "spacing")
_MOSTLY = 0.8
_HALF = 0.5


def recognise(listing: Listing) -> Study | None:
    """The study that `study.csv` lists; tables of other names are no study."""
    table = _table(listing)
    if table is None:
        return None
    read, taken = _read(listing, table)
    rows = [_cleaned(row) for row in read]
    columns = [name for name in rows[0] if name not in _OWN]
    shares = {name: 0.0 if names_images(name) else path_share(_filled(rows, name)) for name in columns}
    targets = [name for name in columns if shares[name] == 1]
    slips = [name for name in columns if _HALF <= shares[name] < 1]
    rows = _as_stored(listing, rows, ["image", *targets])
    _check_paths(listing, table, rows, ["image", *targets])
    others = [name for name in columns if shares[name] < _HALF]
    classes = _classes(rows, others, masked=bool(targets or slips))
    findings = (
        *(Finding("error", f"{listing.path(table)}: {_no_mask(rows, name)}") for name in slips),
        *_findings(listing, table, rows, others, classes),
        *_taken(table, taken),
    )
    if not targets and not classes.names:
        problems = [finding.message for finding in findings if finding.severity == "error"]
        raise StudyError("\n".join(problems) or _says_nothing(listing, table, rows))
    names = unique_names([_key(row["image"]) for row in rows])
    cases = tuple(
        _case(listing, table, name, row, targets, classes.of_row(row))
        for name, row in zip(names, rows, strict=True)
    )
    by = next((name for name, ours in taken.items() if ours == "group"), "group")
    grouping = f"column `{by}` of the table" if "group" in rows[0] else ""
    return Study(
        listing.root,
        f"table {table}",
        cases,
        tuple(targets),
        classes.names,
        classes.exclusive,
        grouping,
        findings,
    )


def _says_nothing(listing: Listing, table: PurePosixPath, rows: Sequence[Row]) -> str:
    return (
        f"{listing.path(table)}: no column says what is in the images; add a column `label` "
        f"with class names, columns of 0 and 1, or a column of mask files (found: {listed(rows[0])})"
    )


def _table(listing: Listing) -> PurePosixPath | None:
    tables = [path for path in listing.files if suffix(path) == ".csv" and len(path.parts) == 1]
    named = [path for path in tables if path.name.lower() == NAME]
    return named[0] if named else None


def read_rows(listing: Listing, table: PurePosixPath) -> list[Row]:
    """Rows of a comma, semicolon or tab separated table: cells stripped, our own columns in lower case.

    Columns that stand for ours (filename for image, patient for group) have our names.
    """
    return _read(listing, table)[0]


def _read(listing: Listing, table: PurePosixPath) -> tuple[list[Row], dict[str, str]]:
    """Rows of a table, and which of its columns are taken for ours."""
    path = listing.path(table)
    text = read_text(path, _LIMIT_BYTES, StudyError, "table of a study")
    cells = csv.reader(io.StringIO(text), delimiter=delimiter(text.partition("\n")[0]))
    try:
        lines = [line for line in cells if any(map(str.strip, line))]
    except csv.Error as error:
        raise StudyError(f"{path}: is not a table ({error})") from error
    rows = _as_rows(str(path), lines)
    taken = stand_ins(rows)
    return renamed(rows, taken), taken


def _as_rows(path: str, lines: Sequence[Sequence[str]]) -> list[Row]:
    header = filled(lines[0]) if lines else []
    header = [cell.lower() if cell.lower() in (*_OWN, *LABELS) else cell for cell in header]
    if image_column(header) is None or len(set(header)) != len(header):
        raise StudyError(
            f"{path}: needs one column `image` (or {', '.join(IMAGE)}) and no column twice "
            f"(found: {listed(header) or 'nothing'})"
        )
    ragged = [
        number
        for number, line in enumerate(lines, start=1)
        if len(line) < len(header) or any(map(str.strip, line[len(header) :]))
    ]
    if ragged:
        raise StudyError(f"{path}: lines {listed(ragged)} do not have {len(header)} cells as the header does")
    rows = [dict(zip(header, map(str.strip, line), strict=False)) for line in lines[1:]]
    if not rows:
        raise StudyError(f"{path}: has a header but no rows")
    return rows


def _cleaned(row: Row) -> Row:
    """A row with empty cells where masks or flags are not known; labels stay as they are written."""
    kept = (*_OWN, *LABELS)
    return {name: "" if name not in kept and cell.lower() in BLANK else cell for name, cell in row.items()}


def _key(image: str) -> tuple[str, ...]:
    path = relative(image)
    return (*path.parts[:-1], image_name(path))


def _filled(rows: Sequence[Row], column: str) -> list[str]:
    return [row[column] for row in rows if row[column]]


def _as_stored(listing: Listing, rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """Rows whose paths are spelled as the files are: a Mac takes letters such as é apart, others do not.

    What is stored as it is written, or not at all, stays as it is.
    """
    cells = {row[column] for row in rows for column in columns if row[column]}
    absent = {cell for cell in cells if not cell.isascii() and not listing.path(relative(cell)).exists()}
    if not absent:
        return list(rows)
    stored = {_composed(path): path.as_posix() for file in listing.files for path in (file, *file.parents)}
    spelled = {cell: stored.get(_composed(relative(cell)), cell) for cell in absent}
    return [
        {name: spelled.get(cell, cell) if name in columns else cell for name, cell in row.items()}
        for row in rows
    ]


def _composed(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", path.as_posix())


def _check_paths(listing: Listing, table: PurePosixPath, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Raise StudyError that lists every path that is missing or leaves the folder."""
    cells = [(number, row[column]) for number, row in enumerate(rows, start=2) for column in columns]
    empty = [f"line {number}" for number, row in enumerate(rows, start=2) if not row["image"]]
    outside = [f"{cell} (line {number})" for number, cell in cells if cell and not _inside(cell)]
    inside = [(number, cell) for number, cell in cells if cell and _inside(cell)]
    missing = [(number, cell) for number, cell in inside if not listing.path(relative(cell)).exists()]
    problems = [
        f"{words}: {listed(names)}"
        for words, names in (
            ("rows without an image", empty),
            ("paths that leave the folder", outside),
            ("files that do not exist", [f"{cell} (line {number})" for number, cell in missing]),
        )
        if names
    ]
    if problems:
        where = _elsewhere(listing, [cell for _, cell in missing])
        raise StudyError(
            f"{listing.path(table)}: {'; '.join(problems)}. Paths are relative to the table's folder{where}"
        )


def _elsewhere(listing: Listing, cells: Sequence[str]) -> str:
    """In which folders files of the missing names lie, images before masks, and what to write for one."""
    places: dict[str, list[PurePosixPath]] = {}
    for path in listing.images:
        for name in {path.name, stem(path)}:
            places.setdefault(name, []).append(path)
    found = {name: places[name] for cell in cells if (name := relative(cell).name) in places}
    if not found:
        return ""
    folders = Counter(path.parent for paths in found.values() for path in paths)
    ordered = sorted(folders, key=lambda folder: (is_mask_word(folder.name), -folders[folder]))
    example = min(next(iter(found.values())), key=lambda path: ordered.index(path.parent))
    names = listed(f"{folder.as_posix()}/" for folder in ordered)
    return f"; files of {counted(len(found), 'such name')} lie in {names}: write {example.as_posix()}"


def _inside(cell: str) -> bool:
    text = cell.replace("\\", "/")
    absolute = text.startswith("/") or re.match(r"[A-Za-z]:", text)
    return not absolute and ".." not in posixpath.normpath(text).split("/") and "\0" not in text


@dataclass(frozen=True)
class _Classes:
    """Classes of a table: of a `label` column (exclusive unless cells name several) or of 0/1 columns."""

    columns: tuple[str, ...]
    names: tuple[str, ...]
    exclusive: bool
    doubtful: tuple[str, ...] = ()

    def of_row(self, row: Row) -> dict[str, float]:
        if not self.names:
            return {}
        if self.columns[0] not in LABELS:
            return {name: FLAGS[row[name].lower()] for name in self.names}
        chosen = _split_labels(row[self.columns[0]])
        return {name: (float(name in chosen) if chosen else math.nan) for name in self.names}


def _classes(rows: Sequence[Row], columns: Sequence[str], masked: bool) -> _Classes:
    """Classes of a column of labels, else of 0/1 columns; beside masks a 0/1 column is about the patient."""
    named = _labels_column(rows, columns)
    if named is not None:
        every = [_split_labels(row[named]) for row in rows]
        names = sorted({name for chosen in every for name in chosen})
        return _Classes((named,), tuple(names), all(len(chosen) <= 1 for chosen in every))
    shares = {} if masked else {name: flag_share(_filled(rows, name)) for name in columns}
    flags = tuple(name for name, share in shares.items() if share == 1)
    return _Classes(flags, flags, False, tuple(n for n, share in shares.items() if _MOSTLY <= share < 1))


def _labels_column(rows: Sequence[Row], columns: Sequence[str]) -> str | None:
    """The column `label` or `labels` where it holds any."""
    return next((n for n in columns if n in LABELS and any(_split_labels(row[n]) for row in rows)), None)


def _taken(table: PurePosixPath, taken: Mapping[str, str]) -> tuple[Finding, ...]:
    """A note of the columns that are taken for ours."""
    if not taken:
        return ()
    words = listed(f"{name} as {ours}" for name, ours in taken.items())
    return (Finding("note", f"columns of {table} taken for those that are missing: {words}"),)


def _findings(
    listing: Listing, table: PurePosixPath, rows: Sequence[Row], columns: Sequence[str], classes: _Classes
) -> tuple[Finding, ...]:
    """Columns that are all but 0/1 columns, those that are not used, and labels taken as unknown."""
    unused = [name for name in columns if name not in classes.columns and name not in classes.doubtful]
    return (
        *(Finding("error", f"{listing.path(table)}: {_doubt(rows, name)}") for name in classes.doubtful),
        *((Finding("note", f"columns of {table} not used: {listed(unused)}"),) if unused else ()),
        *_unknown_labels(rows, classes),
    )


def _doubt(rows: Sequence[Row], column: str) -> str:
    """What is wrong with a column of 0, 1 and a few other values: no class must be lost over one cell."""
    bad = {line: row[column] for line, row in enumerate(rows, start=2) if row[column].lower() not in FLAGS}
    values, lines = listed(dict.fromkeys(bad.values())), listed(bad)
    return (
        f"column {column} holds 0 and 1 but for {values} (line {lines}); write 0 or 1, leave the cell empty "
        "where it is not known, or take the column out if it is no class"
    )


def _no_mask(rows: Sequence[Row], column: str) -> str:
    """What is wrong with a column of masks and a few other words: no target must be lost over one."""
    lines = enumerate(rows, start=2)
    bad = {line: row[column] for line, row in lines if row[column] and not are_paths([row[column]])}
    values, where = listed(dict.fromkeys(bad.values())), listed(bad)
    return (
        f"column {column} holds files of masks but for {values} (line {where}); write the file of the mask, "
        "leave the cell empty where it is not annotated, or take the column out if it is no target"
    )


def _unknown_labels(rows: Sequence[Row], classes: _Classes) -> tuple[Finding, ...]:
    """A note on cells like NA, which are no class."""
    if not classes.names or classes.columns[0] not in LABELS:
        return ()
    parts = [part for row in rows for part in _label_parts(row[classes.columns[0]])]
    unknown = [part for part in parts if part.lower() in UNKNOWN_WORDS]
    if not unknown:
        return ()
    words = f"column {classes.columns[0]}: {counted(len(unknown), 'cell')} taken as unknown"
    return (Finding("note", f"{words} ({listed(dict.fromkeys(unknown))})"),)


def _split_labels(cell: str) -> list[str]:
    return [part for part in _label_parts(cell) if part.lower() not in UNKNOWN_WORDS]


def _label_parts(cell: str) -> list[str]:
    return [part.strip() for part in re.split(r"[|;]", cell) if part.strip()]


def _case(
    listing: Listing,
    table: PurePosixPath,
    name: str,
    row: Row,
    targets: Sequence[str],
    labels: Mapping[str, float],
) -> Case:
    masks = {
        target: MaskSource((Source(listing.path(relative(row[target]))),), UNKNOWN)
        for target in targets
        if row[target]
    }
    split = row.get("split", "").lower()
    if split and SPLIT_WORDS.get(split) not in ("train", "val", "test"):
        raise StudyError(f"{listing.path(table)}: split {split!r} of {name} is not train, val or test")
    return Case(
        name,
        Source(listing.path(relative(row["image"]))),
        masks=masks,
        labels=labels,
        group=row.get("group", ""),
        split=SPLIT_WORDS.get(split),
        spacing=_spacing(listing, table, name, row.get("spacing", "")),
    )


def _spacing(listing: Listing, table: PurePosixPath, name: str, text: str) -> Spacing | None:
    if not text:
        return None
    try:
        return parse_spacing(text, ndim=max(2, len(re.split("[x,]", text))))
    except ImageError as error:
        raise StudyError(f"{listing.path(table)}: {name}: {error}") from error
