"""Windows of OME-Zarr images: NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3), read through zarr-python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError
from hilum.files import stays_inside
from hilum.image.limits import decoding, shown
from hilum.image.pyramid import SEGMENT_BYTES, Pyramid, make_levels
from hilum.image.spacing import Spacing, unknown_spacing

_UNIT_UM = {
    "angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4,
    "meter": 1e6,
}  # fmt: skip
_BLOSC_HEAD = 16


def need_zarr() -> Any:
    """The zarr package. Raises ImageError that says how to install it."""
    try:
        import zarr
    except ImportError as error:
        raise ImageError("OME-Zarr needs zarr: pip install 'hilum[slides]'") from error
    return zarr


def open_zarr(path: Path) -> Pyramid:
    """The first multiscale image of an OME-Zarr folder, to be read window by window.

    Raises ImageError where there is none, where it has planes or times to choose from, or where its
    chunks are too large.
    """
    zarr = need_zarr()
    with decoding(path, "OME-Zarr", zarr.errors.BaseZarrError):
        group = zarr.open_group(str(path), mode="r")
        multiscale = _multiscale(path, dict(group.attrs))
        names = _axes(multiscale)
        arrays = [group[_inside(path, data["path"])] for data in multiscale["datasets"]]
        return _pyramid(path, multiscale, names, arrays)


def _multiscale(path: Path, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    found = attributes.get("ome", attributes).get("multiscales")
    if not isinstance(found, list) or not found or not found[0].get("datasets"):
        raise ImageError(
            f"{shown(path)}: is a Zarr folder without a multiscale image; give the folder of one image "
            "(of a plate or a collection: one of its sub-folders)"
        )
    first: Mapping[str, Any] = found[0]
    return first


def _axes(multiscale: Mapping[str, Any]) -> list[str]:
    """Axis letters; NGFF before 0.3 leaves them out and means t, c, z, y, x."""
    axes = multiscale.get("axes") or list("tczyx")
    return [str(axis["name"] if isinstance(axis, Mapping) else axis).lower() for axis in axes]


def _inside(path: Path, name: Any) -> str:
    if not isinstance(name, str) or not stays_inside(name):
        raise ImageError(f"{shown(path)}: names a level {name!r} that lies outside of it; it is damaged")
    return name


def _pyramid(path: Path, multiscale: Mapping[str, Any], names: list[str], arrays: Sequence[Any]) -> Pyramid:
    first = arrays[0]
    if first.dtype.kind not in "buif" or len(names) != first.ndim:
        raise ImageError(
            f"{shown(path)}: axes {''.join(names)} do not fit {first.dtype} of shape {first.shape}"
        )
    sizes = dict(zip(names, first.shape, strict=True))
    more = [name for name in names if name not in "cyx" and sizes[name] != 1]
    if more or not {"y", "x"} <= set(names) or min(first.shape) < 1:
        raise ImageError(
            f"{shown(path)}: is a stack with axes {''.join(names)} of {first.shape}; single planes are read"
        )
    chunk = math.prod(getattr(first, "shards", None) or first.chunks) * first.dtype.itemsize
    if chunk > SEGMENT_BYTES:
        raise ImageError(
            f"{shown(path)}: its chunks hold {chunk / 1e6:.0f} MB each; write it with smaller ones"
        )
    shapes = [_plane(names, array.shape) for array in arrays if array.ndim == first.ndim]
    levels = make_levels(shapes)
    chosen = [arrays[shapes.index(level.shape)] for level in levels]

    def read(level: int, y: int, x: int, h: int, w: int) -> NDArray[Any]:
        where = {"y": slice(y, y + h), "x": slice(x, x + w), "c": slice(None)}
        _check_whole(path, chosen[level], [where.get(name, slice(0, 1)) for name in names])
        part = np.asarray(chosen[level][tuple(where.get(name, 0) for name in names)])
        kept = [name for name in names if name in where]
        array = part.transpose([kept.index(name) for name in "cyx" if name in kept])
        array = array if "c" in kept else array[None]
        native = np.uint8 if array.dtype == bool else array.dtype.newbyteorder("=")
        scale = np.uint8(255) if array.dtype == bool else None
        ready = np.ascontiguousarray(array, dtype=native)
        return ready if scale is None else ready * scale

    dtype = np.dtype(np.uint8) if first.dtype == bool else first.dtype.newbyteorder("=")
    spacing = _spacing(multiscale, names)
    return Pyramid(path, int(sizes.get("c", 1)), dtype, spacing, levels, read, lambda: None)


def _check_whole(path: Path, array: Any, window: Sequence[slice]) -> None:
    """Raise ImageError where a chunk under a window was cut short: Blosc reads on behind its end, unseen."""
    if array.shards or not any("blosc" in type(one).__name__.lower() for one in array.compressors):
        return
    spans = [
        range((part.start or 0) // chunk, -(-(size if part.stop is None else part.stop) // chunk))
        for part, chunk, size in zip(window, array.chunks, array.shape, strict=True)
    ]
    for place in itertools.product(*spans):
        file = path / array.path / array.metadata.encode_chunk_key(place)
        if not file.is_file():  # a chunk of nothing but the fill value
            continue
        with file.open("rb") as handle:
            head = handle.read(_BLOSC_HEAD)
        if len(head) < _BLOSC_HEAD or int.from_bytes(head[12:16], "little") > file.stat().st_size:
            raise ImageError(f"{shown(file)}: is cut short; copy it again")


def _plane(names: Sequence[str], shape: Sequence[int]) -> tuple[int, int]:
    return int(shape[names.index("y")]), int(shape[names.index("x")])


def _spacing(multiscale: Mapping[str, Any], names: Sequence[str]) -> Spacing:
    """Spacing (Y, X) of the first level: its own scale times that of all levels, with the axes' unit."""
    axes = [axis for axis in multiscale.get("axes") or [] if isinstance(axis, Mapping)]
    units = {axis.get("name"): axis.get("unit") for axis in axes}
    unit_um = _UNIT_UM.get(str(units.get("y")))
    if unit_um is None or units.get("x") != units.get("y"):
        return unknown_spacing(2)
    scale = np.ones(len(names))
    for part in (multiscale, multiscale["datasets"][0]):
        for found in part.get("coordinateTransformations") or []:
            if isinstance(found, Mapping) and len(found.get("scale") or []) == len(names):
                scale = scale * np.array(found["scale"], np.float64)
    sizes = scale[names.index("y")] * unit_um, scale[names.index("x")] * unit_um
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        return unknown_spacing(2)
    if units["y"] == "millimeter":
        return Spacing((float(sizes[0]) / 1000, float(sizes[1]) / 1000), "mm")
    return Spacing((float(sizes[0]), float(sizes[1])), "um")
