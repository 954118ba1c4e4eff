"""Columns of a table: what their cells hold, and which stand for ours under another name."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hilum.study.names import is_image

Row = dict[str, str]
IMAGE = ("filename", "file", "image_path", "path")
LABEL = ("diagnosis", "class")
# The wider ones first: what is of one patient must stay together, not only what is of one slide.
_WHOSE = ("patient", "subject", "animal", "mouse", "slide")
GROUP = tuple(f"{word}{end}" for word in _WHOSE for end in ("", "_id"))
LABELS = ("label", "labels")
# what R, pandas and spreadsheets write where nothing is known
UNKNOWN_WORDS = ("", "na", "n/a", "nan", "null")
# "none" can be a class of a label column ("none", "mild"), but says nothing in other columns
BLANK = (*UNKNOWN_WORDS, "none")
# -1 is CheXpert's "uncertain"
FLAGS = {
    "": math.nan,
    "-1": math.nan,
    "-1.0": math.nan,
    "0": 0.0,
    "1": 1.0,
    "0.0": 0.0,
    "1.0": 1.0,
    "false": 0.0,
    "true": 1.0,
}


def delimiter(heading: str) -> str:
    """What parts the cells of a table, told by its first line: comma, semicolon or tab.

    >>> delimiter("image;label")
    ';'
    """
    return max(",;\t", key=heading.count)


def filled(heading: Sequence[str]) -> list[str]:
    """The names of columns in a heading, without the empty cells with which spreadsheets end lines.

    >>> filled(["image ", "label", "", ""])
    ['image', 'label']
    """
    names = [cell.strip() for cell in heading]
    while names and not names[-1]:
        names.pop()
    return names


def relative(cell: str) -> PurePosixPath:
    """The path in a cell, with slashes and without detours."""
    return PurePosixPath(posixpath.normpath(cell.replace("\\", "/")))


def are_paths(cells: Sequence[str]) -> bool:
    """Whether filled cells are paths of images."""
    return path_share(cells) == 1


def path_share(cells: Sequence[str]) -> float:
    """Share of paths of images among the filled cells of a column."""
    return sum(is_image(relative(cell)) for cell in cells) / max(1, len(cells))


def flag_share(cells: Sequence[str]) -> float:
    """Share of flags among the filled cells of a column; 0 where none of them says 0 or 1."""
    flags = [cell.lower() for cell in cells if cell.lower() in FLAGS]
    return len(flags) / len(cells) if not all(math.isnan(FLAGS[cell]) for cell in flags) else 0.0


def image_column(header: Sequence[str]) -> str | None:
    """The column of the images: `image`, or the first that stands for it."""
    return "image" if "image" in header else _first(header, IMAGE)


def names_images(column: str) -> bool:
    """Whether a column is called as one that stands for `image`: no target is."""
    return _plain(column) in map(_plain, IMAGE)


def stand_ins(rows: Sequence[Row]) -> dict[str, str]:
    """Columns that stand for those of ours that are missing, as {"filename": "image", "patient": "group"}.

    Labels are asked for where there are no masks alone; a column of 0 and 1 that can be a class is one.
    """
    cells = {name: [row[name] for row in rows if row[name].lower() not in BLANK] for name in rows[0]}
    image = image_column(list(cells))
    masked = any(are_paths(own) for name, own in cells.items() if name != image and not names_images(name))
    words = {name: own for name, own in cells.items() if own and not are_paths(own)}
    told = {name: own for name, own in words.items() if flag_share(own) < 1}
    label = None if masked or any(name in cells for name in LABELS) else _first(list(told), LABEL)
    labelled = label is not None or any(name in words for name in LABELS)
    groups = words if masked or labelled else told
    group = None if "group" in cells else _first(list(groups), GROUP)
    found = {image: "image", label: "label", group: "group"}
    return {name: ours for name, ours in found.items() if name is not None and name != ours}


def renamed(rows: Sequence[Row], names: Mapping[str, str]) -> list[Row]:
    """Rows with other names of columns."""
    return [{names.get(name, name): cell for name, cell in row.items()} for row in rows]


def _first(header: Sequence[str], words: Sequence[str]) -> str | None:
    """The column called by the first of the words that any is called by."""
    plain = {_plain(name): name for name in reversed(header)}
    return next((plain[word] for word in map(_plain, words) if word in plain), None)


def _plain(column: str) -> str:
    """A name without case and separators: `Patient ID`, `patient_id` and `PatientID` are one."""
    return re.sub(r"[\W_]", "", column.lower())
