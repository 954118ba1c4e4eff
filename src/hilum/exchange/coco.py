"""COCO JSON of instances: each region one annotation with its box, its area and its outline.

Regions without holes are polygons; others are run lengths down the columns, as COCO counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.exchange.mask_outlines import Outlined
from hilum.exchange.outlines import Outline
from hilum.files import as_text, whole_file


class CocoWriter:
    """A COCO file in the making: annotations are written as images come, the rest at the end."""

    def __init__(self, targets: Sequence[str]) -> None:
        self.targets = list(targets)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[str] = []

    def add(self, file_name: str, found: Mapping[str, Outlined]) -> None:
        """Add the regions of one image, by target."""
        shape = next(iter(found.values())).shape
        number = len(self.images) + 1
        self.images.append(
            {"id": number, "file_name": as_text(file_name), "width": shape[1], "height": shape[0]}
        )
        for target, one in found.items():
            for entry in _annotations(one, number, self.targets.index(target) + 1):
                self.annotations.append(json.dumps({"id": len(self.annotations) + 1, **entry}))

    def write(self, path: Path) -> Path:
        """Write the file, whole or not at all; its path."""
        categories = [
            {"id": at + 1, "name": name, "supercategory": "target"} for at, name in enumerate(self.targets)
        ]
        head = {
            "info": {"description": "predicted by Hilum"},
            "images": self.images,
            "categories": categories,
        }
        with whole_file(path) as beside, beside.open("w", encoding="utf-8") as handle:
            handle.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "annotations": [\n')
            handle.write(",\n".join(self.annotations) + "\n]}\n")
        return path


def _annotations(found: Outlined, image: int, category: int) -> Iterator[dict[str, Any]]:
    for outline, region in zip(found.outlines, found.regions, strict=True):
        (top, left), (bottom, right) = region.low, region.high
        yield {
            "image_id": image,
            "category_id": category,
            "bbox": [left, top, right - left, bottom - top],
            "area": region.pixels,
            "iscrowd": 0,
            "segmentation": segmentation(outline, found.shape),
        }


def segmentation(outline: Outline, shape: tuple[int, int]) -> list[list[int]] | dict[str, Any]:
    """A list of polygons x1, y1, x2, y2, ...; of regions with holes run lengths and the size (Y, X)."""
    if all(len(polygon) == 1 for polygon in outline.polygons):
        return [polygon[0].ravel().tolist() for polygon in outline.polygons]
    return {"counts": run_lengths(outline, shape), "size": list(shape)}


def run_lengths(outline: Outline, shape: tuple[int, int]) -> list[int]:
    """Lengths of runs outside and inside in turn, down one column after the other, beginning outside."""
    places = np.concatenate([_toggles(ring, shape[0]) for polygon in outline.polygons for ring in polygon])
    where, number = np.unique(places, return_counts=True)
    ends = where[number % 2 == 1]
    lengths: list[int] = np.diff(ends, prepend=0, append=shape[0] * shape[1]).tolist()
    return lengths if lengths[-1] else lengths[:-1]


def _toggles(ring: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """Places, counted down the columns, at which the horizontal edges of a ring begin or end a run."""
    start, end = ring, np.roll(ring, -1, axis=0)
    flat = start[:, 1] == end[:, 1]
    low = np.minimum(start[flat, 0], end[flat, 0])
    length = np.abs(start[flat, 0] - end[flat, 0])
    begin = np.repeat(np.cumsum(length) - length, length)
    columns = np.repeat(low, length) + np.arange(int(length.sum())) - begin
    return np.asarray(columns * height + np.repeat(start[flat, 1], length), np.int64)
