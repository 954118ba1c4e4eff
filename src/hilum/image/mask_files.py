"""Where the masks of a run or a prediction lie: one file a target and case, its ending by its kind."""

from __future__ import annotations

from pathlib import Path

from hilum.image.pyramid_writer import SUFFIXES

FLAT, VOLUME = ".png", ".nii.gz"
_ENDINGS = (FLAT, VOLUME, *SUFFIXES.values())


def mask_path(folder: Path, target: str, case: str, ending: str) -> Path:
    """Where a mask is written in a folder of results."""
    return folder / "masks" / target / f"{case}{ending}"


def mask_file(folder: Path, target: str, case: str) -> Path | None:
    """The mask of a target of a case in a folder of results; None where there is none."""
    return file_of(folder / "masks" / target, case)


def file_of(folder: Path, case: str) -> Path | None:
    """The file of a case in a folder of masks, or of lungs; None where there is none."""
    paths = (folder / f"{case}{ending}" for ending in _ENDINGS)
    return next((path for path in paths if path.exists()), None)
