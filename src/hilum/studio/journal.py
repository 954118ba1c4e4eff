"""The journal of strokes not yet in a mask file: every stroke is on disk before the page is told so."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import HilumError
from hilum.files import write_text
from hilum.studio.spans import Spans, from_text, to_text, toggled

FOLDER = ".studio"


@dataclass(frozen=True, eq=False)
class Stroke:
    """Pixels of one plane (`axis` 0 to 2 of a volume, its `index`) that changed; `key` is the page's own."""

    spans: Spans
    axis: int = 0
    index: int = 0
    key: str = ""


def journal_path(root: Path, image: str, target: str) -> Path:
    """The journal of one mask, hidden in the study's folder; `image` is its image's path there."""
    name = hashlib.blake2b(f"{image}\0{target}".encode(), digest_size=12).hexdigest()
    return root / FOLDER / "journal" / f"{name}.jsonl"


def digest(mask: NDArray[np.bool_]) -> str:
    """What tells one mask from another: shape and pixels."""
    head = "x".join(map(str, mask.shape)).encode()
    return hashlib.blake2b(head + np.packbits(mask).tobytes(), digest_size=16).hexdigest()


def begin(path: Path, case: str, target: str, base: str, image: str = "") -> None:
    """Begin a journal over a mask whose digest is `base`; an older one is replaced, whole or not at all.

    Where `image` lies in the study finds it again, should its case have another name by then.
    """
    write_text(path, json.dumps({"case": case, "image": image, "target": target, "base": base}) + "\n")


def add(path: Path, stroke: Stroke) -> None:
    """Put a stroke into the journal; it is on the disk when this returns, or HilumError is raised."""
    _append(
        path,
        {"axis": stroke.axis, "index": stroke.index, "key": stroke.key, "spans": to_text(stroke.spans)},
    )


def note_saving(path: Path, saved: str) -> None:
    """Note that the mask file is about to become the mask with this digest."""
    _append(path, {"saving": saved})


def _append(path: Path, row: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise HilumError(f"{path}: the stroke cannot be kept ({error.strerror or error})") from error


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Rows of a journal, without what was half written when the machine stopped; none without one."""
    try:
        return read_journal_bytes(path.read_bytes())
    except OSError:
        return []


def read_journal_bytes(content: bytes) -> list[dict[str, Any]]:
    """Rows of a journal's content; what comes after a damaged line is left out."""
    rows = []
    for line in content.split(b"\n")[:-1]:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


def recovered(mask: NDArray[np.bool_], rows: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_] | None:
    """The mask of the file with the journal's strokes that are not in it yet; None where they do not fit it.

    The journal says over which mask it began and which were saved since: strokes after that are done.
    """
    now = digest(mask)
    marks = [row.get("base") or row.get("saving") for row in rows]
    if now not in marks:
        return None
    last = len(marks) - 1 - marks[::-1].index(now)
    result = mask.copy()
    for row in rows[last + 1 :]:
        if "spans" in row:
            stroke = stroke_of(row, mask.shape)
            apply(result, stroke)
    return result


def stroke_of(row: Mapping[str, Any], shape: Sequence[int]) -> Stroke:
    """A stroke from a row of the journal, for a mask of this shape."""
    axis, index = int(row["axis"]), int(row["index"])
    return Stroke(
        from_text(str(row["spans"]), plane_pixels(shape, axis)), axis, index, str(row.get("key", ""))
    )


def plane_pixels(shape: Sequence[int], axis: int) -> int:
    """Pixels of a plane of a mask (Y, X) or (Z, Y, X)."""
    sides = shape if len(shape) == 2 else [side for at, side in enumerate(shape) if at != axis]
    return int(np.prod(sides))


def plane_of(mask: NDArray[Any], axis: int, index: int) -> NDArray[Any]:
    """A plane (Y, X) of a mask, as a view; across y or x the slices go upwards, head up as people stand.

    Raises HilumError where there is none.
    """
    if mask.ndim == 2:
        return mask
    if not (0 <= axis < 3 and 0 <= index < mask.shape[axis]):
        raise HilumError(f"there is no plane {index} along axis {axis} of a volume {mask.shape}")
    plane = mask[(slice(None),) * axis + (index,)]
    return plane if axis == 0 else plane[::-1]


def apply(mask: NDArray[np.bool_], stroke: Stroke) -> None:
    """Do a stroke on a mask in place."""
    plane = plane_of(mask, stroke.axis, stroke.index)
    plane[...] = toggled(plane, stroke.spans)
