"""Masks of an image as GeoJSON and back, as QuPath and others draw them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from hilum.errors import HilumError
from hilum.exchange.geojson import masks_of, read_geojson, write_geojson
from hilum.exchange.mask_outlines import outlined
from hilum.image.writers import write_mask
from hilum.studio.desk import Desk
from hilum.studio.journal import Stroke
from hilum.studio.places import place_of, plain_target
from hilum.studio.spans import spans_of
from hilum.studio.view import case_of

LIMIT_BYTES = 200_000_000


def exported(desk: Desk, name: str) -> bytes:
    """All masks of an image as one GeoJSON file, a feature a region. Raises HilumError without any."""
    image = desk.images.get(name)
    if len(image.shape) != 2:
        raise HilumError(f"{name}: is a volume; GeoJSON holds outlines of flat images")
    desk.easel.save_all()
    case = case_of(desk.view, name)  # a first mask is known of once it is saved
    targets = [target for target in desk.all_targets() if target in case.masks]
    if not targets:
        raise HilumError(f"{name}: has no mask yet; paint one first")
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        found = {}
        for at, target in enumerate(targets):
            path = Path(folder) / f"{at}.png"
            write_mask(path, desk.easel.open(name, target).mask, image.spacing)
            found[target] = outlined(path)
        result = Path(folder) / f"{Path(name).name}.geojson"
        write_geojson(result, found)
        return result.read_bytes()


def imported(desk: Desk, name: str, content: bytes) -> dict[str, int]:
    """Add the shapes of a GeoJSON file to the masks of an image; how many pixels each target gained.

    A class is a target of its name. Raises HilumError where the file is damaged, too large, or names what
    cannot be a target; then nothing is added.
    """
    image = desk.images.get(name)
    if len(image.shape) != 2:
        raise HilumError(f"{name}: is a volume; GeoJSON holds outlines of flat images")
    if len(content) > LIMIT_BYTES:
        raise HilumError(
            f"this file has {len(content) // 10**6} MB, up to {LIMIT_BYTES // 10**6} MB are taken; "
            "split it into files of fewer shapes, and take them one after the other"
        )
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        path = Path(folder) / "drawn.geojson"
        path.write_bytes(content)
        masks = masks_of(read_geojson(path), (image.shape[0], image.shape[1]))
    case, known = case_of(desk.view, name), desk.all_targets()
    names = {drawn: drawn if drawn in known else plain_target(drawn) for drawn in masks}
    for target in names.values():
        place_of(desk.view, case, target)
    desk.targets += [target for target in names.values() if target not in known]
    gained = {}
    for drawn, target in names.items():
        painting = desk.easel.open(name, target)
        new = np.asarray(masks[drawn] & ~painting.mask, bool)
        desk.easel.stroke(name, target, Stroke(spans_of(new)), painting.version)
        gained[target] = int(new.sum())
    desk.easel.save_all()
    return gained
