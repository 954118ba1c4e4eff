"""Fields cut out of slides to be painted: images of their own, in the group of their slide."""

from __future__ import annotations

import re
from typing import Any

from hilum.errors import HilumError
from hilum.image.readers import probe
from hilum.image.writers import write_image
from hilum.studio.desk import Desk
from hilum.studio.places import enter_in_table, keep_table
from hilum.studio.view import View, case_of
from hilum.study.fields import SIDE
from hilum.study.layouts.tables import NAME as TABLE
from hilum.study.names import stem
from hilum.study.study import Case, Source

LEAST = 128


def cut_field(desk: Desk, name: str, y: int, x: int, side: int) -> str:
    """Cut a square field of a slide, at full resolution, to be painted; the name of its case.

    `y` and `x` are its corner, moved so that it lies inside. It is written beside the slide, with its
    spacing, and entered in study.csv in the slide's group, so that no fold parts fields of one slide.
    Raises HilumError where the case is no slide, the study keeps its masks another way, or it is there.
    """
    view, case = desk.view, case_of(desk.view, name)
    if not desk.slides.is_slide(case):
        raise HilumError(f"{name}: is small enough to be painted whole")
    if not LEAST <= side <= SIDE:
        raise HilumError(f"a field of {side} pixels: its side is from {LEAST} to {SIDE}")
    if view.study.cases and not (view.root / TABLE).is_file():
        raise HilumError(
            f"{view.root}: keeps its masks without a {TABLE}, which alone tells the slide of a field; put "
            "slides to be painted into a folder of their own"
        )
    image, top, left = desk.slides.window(case, y, x, side)
    path = case.image.path.with_name(f"{stem(case.image.path)}_y{top:06d}_x{left:06d}.tif")
    if path.exists():
        raise HilumError(f"{path.name}: this field is cut already; open it, or move a little")
    write_image(path, image)
    keep_table(view.root)
    enter_in_table(view, Case(stem(path), Source(path)), "group", case.name)
    desk.refresh()
    return next(one.name for one in desk.view.cases if one.image.path == path)


def fields_of(view: View, slide: Case) -> list[dict[str, Any]]:
    """The fields that were cut out of a slide: where they lie on it, and which targets are painted."""
    own = re.compile(re.escape(stem(slide.image.path)) + r"_y(\d+)_x(\d+)")
    found = []
    for case in view.cases:
        match = own.fullmatch(stem(case.image.path))
        if match is None or case.image.path.parent != slide.image.path.parent:
            continue
        height, width = probe(case.image.path).shape[-2:]
        place = {"y": int(match[1]), "x": int(match[2]), "height": height, "width": width}
        found.append({"case": case.name, **place, "annotated": list(case.masks)})
    return found
