"""`hilum inspect`: what a folder holds and what looks wrong in it."""

from __future__ import annotations

from pathlib import Path

from hilum.study import inspection
from hilum.study.inspection import Inspection


def inspect(folder: str | Path, *, group_by: str | None = None) -> Inspection:
    """Look at a folder without training: layout, cases, groups, targets, encodings, findings.

    Raises StudyError where no layout is recognised.
    """
    return inspection.inspect(Path(folder), group_by)
