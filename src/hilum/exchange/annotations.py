"""Predicted masks handed on as annotations: GeoJSON for each image, COCO JSON for all of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from hilum.errors import PlanError
from hilum.exchange.coco import CocoWriter
from hilum.exchange.geojson import write_geojson
from hilum.exchange.mask_outlines import outlined
from hilum.image.mask_files import VOLUME, mask_file
from hilum.planning.plan import Plan
from hilum.study.names import common_folder

logger = logging.getLogger(__name__)
COCO_FILE = "coco.json"


def check_annotations(plan: Plan) -> None:
    """Raise PlanError where a run has no masks to outline."""
    if plan.task != "segment":
        raise PlanError(f"--geojson and --coco hold outlines of masks; this is a {plan.task} run")


def write_annotations(
    out: Path, cases: Mapping[str, str], targets: Sequence[str], geojson: bool, coco: bool
) -> list[Path]:
    """Write `geojson/CASE.geojson` and `coco.json` of the masks in `out`; the paths written.

    `cases` maps the names of cases to those of their image files. Volumes have no outlines: they are left
    out with a warning.
    """
    written, writer = [], CocoWriter(targets)
    for case, file_name in cases.items():
        paths = {target: mask_file(out, target, case) for target in targets}
        if not all(path and not path.name.endswith(VOLUME) for path in paths.values()):
            logger.warning("%s: has no flat masks, so it is left out of GeoJSON and COCO", case)
            continue
        found = {target: outlined(path) for target, path in paths.items() if path}
        if geojson:
            path = out / "geojson" / f"{case}.geojson"
            write_geojson(path, found)
            written.append(path)
        writer.add(file_name, found)
    if coco:
        written.append(writer.write(out / COCO_FILE))
    return written


def file_names(images: Mapping[str, Path]) -> dict[str, str]:
    """Names of the images of cases; where some are alike, paths below the folder that all have in common."""
    if len({path.name for path in images.values()}) == len(images):
        return {case: path.name for case, path in images.items()}
    folder = common_folder(images.values())
    paths = {case: path.absolute() for case, path in images.items()}
    return {
        case: (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()
        for case, path in paths.items()
    }
