"""GeoJSON (RFC 7946) as QuPath writes and imports it: one feature a region, with class name and colour.

Coordinates are pixels at full resolution, x before y, (0, 0) being the upper left corner of the image.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.exchange.mask_outlines import Outlined
from hilum.exchange.outlines import Outline, Ring, ring_area
from hilum.exchange.rasters import filled
from hilum.files import read_json, whole_file
from hilum.image.colours import target_colour
from hilum.image.limits import shown
from hilum.image.spacing import Spacing
from hilum.measurement.regions import Region, equivalent_diameter

logger = logging.getLogger(__name__)
LIMIT_BYTES = 1_000_000_000
NO_CLASS = "unclassified"
_NAMESPACE = uuid.UUID("6c1a3c0e-7f0a-5b63-9f61-8d1c6b6c2f11")
# what a file of ours says of its image besides, so that areas can be told in its unit
OURS = "hilum"


@dataclass(frozen=True, eq=False)
class Shape:
    """One annotation: its class and its polygons, each an outer ring and holes (N, 2) of x, y, not closed."""

    target: str
    polygons: tuple[tuple[NDArray[np.float64], ...], ...]

    @property
    def area(self) -> float:
        """Area in squared pixels."""
        return sum(
            abs(ring_area(one[0])) - sum(abs(ring_area(hole)) for hole in one[1:]) for one in self.polygons
        )


@dataclass(frozen=True, eq=False)
class Annotations:
    """The shapes of a GeoJSON file; `shape` (Y, X) and `spacing` of the image where the file tells them."""

    shapes: tuple[Shape, ...]
    shape: tuple[int, int] | None = None
    spacing: Spacing | None = None


def write_geojson(path: Path, found: Mapping[str, Outlined]) -> int:
    """Write the regions of all targets of one image; how many there are. The file is whole or absent."""
    first = next(iter(found.values()))
    ours = {
        "height": first.shape[0],
        "width": first.shape[1],
        "pixel_size": list(first.spacing.sizes),
        "unit": first.spacing.unit,
    }
    count = 0
    with whole_file(path) as beside, beside.open("w", encoding="utf-8") as handle:
        handle.write('{"type": "FeatureCollection", ' + f'"{OURS}": {json.dumps(ours)}, "features": [')
        for feature in _features(path.name, found):
            handle.write((",\n" if count else "\n") + json.dumps(feature, ensure_ascii=False))
            count += 1
        handle.write("\n]}\n")
    return count


def _features(name: str, found: Mapping[str, Outlined]) -> Iterator[dict[str, Any]]:
    for index, (target, one) in enumerate(found.items()):
        classification = {"name": target, "color": list(target_colour(index).rgb)}
        for outline, region in zip(one.outlines, one.regions, strict=True):
            unit = one.spacing.symbol
            yield {
                "type": "Feature",
                "id": str(uuid.uuid5(_NAMESPACE, f"{name} {target} {outline.number}")),
                "geometry": geometry(outline),
                "properties": {
                    "objectType": "annotation",
                    "name": f"{target} {outline.number}",
                    "classification": classification,
                    "measurements": {
                        "Region": outline.number,
                        "Area px^2": region.pixels,
                        **({f"Area {unit}^2": region.size} if one.spacing.known else {}),
                    },
                },
            }


def geometry(outline: Outline) -> dict[str, Any]:
    """A Polygon, or a MultiPolygon where pixels touch by a corner alone."""
    polygons = [[_closed(ring) for ring in polygon] for polygon in outline.polygons]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: Ring) -> list[list[int]]:
    points: list[list[int]] = ring.tolist()
    return [*points, points[0]]


def read_geojson(path: str | Path) -> Annotations:
    """Read annotations of any program: polygons, with QuPath's classes where there are some.

    A feature collection, a single feature, or a bare list of features. Points and lines have no area and
    are left out with a warning. Raises ImageError where the file is damaged or holds nothing of all this.
    """
    path = Path(path)
    content = read_json(path, LIMIT_BYTES)
    features = _feature_list(path, content)
    shapes, without = [], 0
    for feature in features:
        if not isinstance(feature, Mapping):
            raise ImageError(f"{shown(path)}: a feature is {str(feature)[:40]!r}; it is no GeoJSON file")
        place = feature.get("geometry")
        found = () if place is None else tuple(_polygons(path, place))
        without += not found
        if found:
            shapes.append(Shape(_class(feature), found))
    if without:
        logger.warning("%s: %d annotations without an area were left out", path, without)
    ours = content.get(OURS) if isinstance(content, Mapping) else None
    return Annotations(tuple(shapes), *_told(ours))


def _feature_list(path: Path, content: Any) -> Sequence[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, Mapping):
        if isinstance(content.get("features"), list):
            found: list[Any] = content["features"]
            return found
        if content.get("type") == "Feature":
            return [content]
        if "coordinates" in content or "geometries" in content:
            return [{"geometry": content}]
    raise ImageError(f"{shown(path)}: holds no GeoJSON features; export annotations as GeoJSON")


def _class(feature: Mapping[str, Any]) -> str:
    properties = feature.get("properties") or {}
    found = properties.get("classification") if isinstance(properties, Mapping) else None
    if isinstance(found, Mapping):
        names = found.get("names")
        found = found.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else None)
    return str(found) if found else NO_CLASS


def _polygons(path: Path, shape: Any) -> Iterator[tuple[NDArray[np.float64], ...]]:
    if not isinstance(shape, Mapping):
        raise ImageError(
            f"{shown(path)}: a geometry is {str(shape)[:40]!r}, not an object with `type` and `coordinates`; "
            "export the annotations as GeoJSON again"
        )
    kind, coordinates = shape.get("type"), shape.get("coordinates")
    if kind == "Polygon":
        yield _rings(path, coordinates)
    elif kind == "MultiPolygon" and isinstance(coordinates, list):
        for polygon in coordinates:
            yield _rings(path, polygon)
    elif kind == "GeometryCollection" and isinstance(shape.get("geometries"), list):
        for part in shape["geometries"]:
            yield from _polygons(path, part)


def _rings(path: Path, polygon: Any) -> tuple[NDArray[np.float64], ...]:
    try:
        rings = tuple(np.array([point[:2] for point in ring], np.float64) for ring in polygon)
    except (TypeError, ValueError, IndexError) as error:
        raise ImageError(f"{shown(path)}: a polygon is damaged ({error})") from error
    if not rings or any(ring.ndim != 2 or len(ring) < 3 or not np.isfinite(ring).all() for ring in rings):
        raise ImageError(f"{shown(path)}: a polygon has a ring of fewer than three places, or odd numbers")
    return tuple(ring[:-1] if (ring[0] == ring[-1]).all() else ring for ring in rings)


def _told(ours: Any) -> tuple[tuple[int, int] | None, Spacing | None]:
    """Size and spacing of the image, as a file of ours tells them."""
    try:
        shape = int(ours["height"]), int(ours["width"])
        sizes = [float(size) for size in ours["pixel_size"]]
        return shape, Spacing((sizes[0], sizes[1]), str(ours["unit"]))
    except (TypeError, KeyError, ValueError, IndexError):
        return None, None


def masks_of(
    found: Annotations, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> dict[str, NDArray[np.bool_]]:
    """A mask (Y, X) for each class, of a window of `shape` that begins at `origin` (y, x)."""
    targets = dict.fromkeys(one.target for one in found.shapes)
    return {
        target: filled(
            shape, (rings for one in found.shapes if one.target == target for rings in one.polygons), origin
        )
        for target in targets
    }


def regions_of(shapes: Iterable[Shape], spacing: Spacing) -> list[Region]:
    """Shapes measured as regions are: area, centroid (the first pixel's centre being 0) and bounding box."""
    return [_region(one, spacing) for one in shapes]


def _region(one: Shape, spacing: Spacing) -> Region:
    area = one.area
    corners = np.concatenate([rings[0] for rings in one.polygons])
    signed = [(1 if at == 0 else -1, ring) for rings in one.polygons for at, ring in enumerate(rings)]
    moments = [sign * _moment(ring) for sign, ring in signed]
    centre = np.sum(moments, axis=0) / area if area else corners.mean(axis=0)
    size = area * spacing.pixel_size
    return Region(
        pixels=round(area),
        size=size,
        diameter=equivalent_diameter(max(size, 0.0), 2),
        centroid=(float(centre[1]) - 0.5, float(centre[0]) - 0.5),
        low=(math.floor(corners[:, 1].min()), math.floor(corners[:, 0].min())),
        high=(math.ceil(corners[:, 1].max()), math.ceil(corners[:, 0].max())),
        touches_border=False,
        mean_probability=math.nan,
    )


def _moment(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """First moments (x, y) of the area of a ring, positive whatever its direction."""
    base = ring[0]
    here, there = ring - base, np.roll(ring, -1, axis=0) - base
    cross = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    area = float(cross.sum() / 2)
    moment = ((here + there) * cross[:, None]).sum(axis=0) / 6 + area * base
    return np.asarray(moment * (1 if area >= 0 else -1), np.float64)
