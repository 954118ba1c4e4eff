"""Images that are dropped on the page: looked at, then put where the study's images lie."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from hilum.errors import HilumError, ImageError
from hilum.files import stays_inside, whole_file
from hilum.image.readers import probe, readable
from hilum.studio.view import View
from hilum.study.names import suffix

LIMIT_FILE_BYTES = 1_000_000_000
_ALONE = (".npz", ".zip", ".mhd", ".nhdr")


def home_of(view: View) -> Path:
    """The folder that new images go to: where most images lie, or `images/` of an empty study."""
    parents = Counter(case.image.path.parent for case in view.cases if case.split != "predict")
    inside = [parent for parent, _ in parents.most_common() if parent.is_relative_to(view.root)]
    return inside[0] if inside else view.root / "images"


def add_image(view: View, name: str, content: Path) -> Path:
    """Take an uploaded file in under its name, if it is an image; its place.

    Raises HilumError where the name is none, the file no whole image or too large, or the name taken.
    """
    plain = name.replace("\\", "/").rpartition("/")[2]
    if not stays_inside(plain) or plain.startswith("."):
        raise HilumError(f"{plain[:80]!r} cannot be the name of a file")
    if not readable(plain) or suffix(plain) in _ALONE:
        raise HilumError(
            f"{plain}: is no single image by its name; copy archives and headers into the folder"
        )
    if content.stat().st_size > LIMIT_FILE_BYTES:
        raise HilumError(
            f"{plain}: is larger than {LIMIT_FILE_BYTES // 10**9} GB; copy it into {home_of(view)}"
        )
    path = home_of(view) / plain
    if path.exists():
        raise HilumError(f"{plain}: an image of that name is there already; rename one of them")
    with whole_file(path) as beside:
        shutil.copyfile(content, beside)
        try:
            probe(beside)
        except ImageError as error:
            raise HilumError(f"{plain}: is not a whole image ({str(error).partition(': ')[2]})") from error
    return path
