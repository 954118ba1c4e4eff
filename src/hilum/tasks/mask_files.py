"""What a segmenter writes for one image: masks, an overlay with a legend, and table rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.files import whole_file
from hilum.image.colours import to_display
from hilum.image.image import Image
from hilum.image.mask_files import FLAT, VOLUME, mask_path
from hilum.image.writers import write_image, write_mask
from hilum.measurement.spool import Spool
from hilum.measurement.table import measure_masks
from hilum.reporting.overlay import overlay

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass
class Tables:
    """Rows of measurements.csv and regions.csv, and the expected Dice by (case, target), case by case."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    regions: Spool = field(default_factory=Spool)
    expected: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, other: Tables) -> None:
        """Put the rows of other cases behind those that are there."""
        self.rows.extend(other.rows)
        self.regions.extend(other.regions)
        self.expected.update(other.expected)


def write_masks(out: Path, case: str, image: Image, masks: Masks) -> None:
    """One lossless mask file a target: PNG for images, compressed NIfTI on the volume's own grid."""
    for target, mask in masks.items():
        if mask.ndim == 2:
            write_mask(mask_path(out, target, case, FLAT), mask, image.spacing)
        else:
            path = mask_path(out, target, case, VOLUME)
            write_image(path, image.with_array(mask[None].astype(np.uint8)))


def write_probabilities(
    out: Path, case: str, image: Image, targets: Sequence[str], probability: NDArray[np.uint8]
) -> None:
    """One probability map a target, 0 to 255."""
    suffix = FLAT if len(image.shape) == 2 else VOLUME
    for target, values in zip(targets, probability, strict=True):
        write_image(out / "probabilities" / target / f"{case}{suffix}", image.with_array(values[None]))


def write_overlay(
    out: Path, case: str, image: Image, masks: Masks, rows: Sequence[Mapping[str, Any]]
) -> None:
    """The image with its masks painted in, and a legend that holds each target's area."""
    from PIL import Image as Pillow

    picture, planes = display_plane(image, masks)
    texts = {str(row["target"]): area_text(row) for row in rows}
    with whole_file(out / "overlays" / f"{case}.jpg") as beside:
        Pillow.fromarray(overlay(picture, planes, texts)).save(beside, quality=90)


def area_text(row: Mapping[str, Any]) -> str:
    """An area as the legend shows it: with its unit, and the share of the image where that is known."""
    area = float(row["volume"] if "volume" in row else row["area"])
    shown = f"{area:,.0f}" if area >= 1000 or area == int(area) else f"{area:,.4g}"
    share = float(row["share_percent"])
    return f"{shown} {row['unit']}" + ("" if math.isnan(share) else f" ({share:.1f} %)")


def display_plane(image: Image, masks: Masks) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """An image as RGB with its masks; of a volume the slice that holds most of the masks."""
    if len(image.shape) == 2:
        return to_display(image), dict(masks)
    found = sum((mask.sum(axis=(1, 2)) for mask in masks.values()), np.zeros(image.shape[0], np.int64))
    index = int(found.argmax()) if found.any() else image.shape[0] // 2
    plane = Image(image.array[:, index], path=image.path)
    return to_display(plane), {target: mask[index] for target, mask in masks.items()}


def measure_case(
    tables: Tables, case: str, group: str, image: Image, masks: Masks, probability: NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Measure the masks of one case into the tables; the rows of this case."""
    shares = dict(zip(masks, probability, strict=True))
    rows, regions = measure_masks(case, masks, image.spacing, shares)
    rows = [
        {"case": case, "group": group, **{key: value for key, value in row.items() if key != "case"}}
        for row in rows
    ]
    tables.rows.extend(rows)
    tables.regions.extend(regions)
    return rows
