"""Seeds of `bench/fuzz.py` for what is read window by window, and for what other programs hand back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

rng = np.random.default_rng(11)
GREY = rng.integers(0, 255, (70, 90), dtype=np.uint8)
COLOUR = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[2, 2], [30, 2], [30, 30], [2, 30], [2, 2]],
                    [[8, 8], [8, 12], [12, 12], [12, 8], [8, 8]],
                ],
            },
            "properties": {"classification": {"name": "nerve", "color": [200, 0, 0]}},
        },
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[[[40, 5], [50, 5], [50.5, 15], [40, 5]]]]},
            "properties": {},
        },
    ],
}


def tiff_pyramids(folder: Path) -> list[Path]:
    tifffile.imwrite(folder / "grey.tif", GREY, tile=(32, 32), compression="zlib")
    tifffile.imwrite(folder / "plain.tif", GREY, rowsperstrip=16)
    tifffile.imwrite(folder / "big.tif", COLOUR, tile=(32, 48), photometric="rgb", bigtiff=True)
    with tifffile.TiffWriter(folder / "levels.ome.tif") as writer:
        writer.write(COLOUR, tile=(32, 32), photometric="rgb", subifds=1, compression="jpeg")
        writer.write(COLOUR[::2, ::2], tile=(32, 32), photometric="rgb", subfiletype=1, compression="jpeg")
    return sorted(folder.glob("*.tif"))


def zarr_pyramid(folder: Path) -> list[Path]:
    from hilum.image.pyramid_writer import start_writer
    from hilum.image.spacing import Spacing

    with start_writer(folder / "image.zarr", GREY.shape, Spacing((0.5, 0.5), "um"), "zarr") as writer:
        writer.push(GREY)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_windows(path: Path) -> Any:
    """Every level, in parts that do not fit its tiles."""
    from hilum.image.pyramid import open_pyramid

    zarr = [parent for parent in path.parents if parent.suffix == ".zarr"]
    with open_pyramid(zarr[-1] if zarr else path) as pyramid:
        read = []
        for number, level in enumerate(pyramid.levels):
            height, width = level.shape
            rows = [(y, min(29, height - y)) for y in range(0, height, 29)[:8]]
            columns = [(x, min(37, width - x)) for x in range(0, width, 37)[:8]]
            read += [pyramid.read_window(y, x, h, w, number) for y, h in rows for x, w in columns]
        return [pyramid.shape, pyramid.spacing, *read]


def geojson_file(folder: Path) -> list[Path]:
    (folder / "drawn.geojson").write_text(json.dumps(GEOJSON))
    return [folder / "drawn.geojson"]


def read_drawn(path: Path) -> Any:
    from hilum.exchange.drawn import measure_drawn
    from hilum.exchange.geojson import masks_of, read_geojson

    found = read_geojson(path)
    masks = masks_of(found, (60, 80))
    return measure_drawn([path]), {name: int(mask.sum()) for name, mask in masks.items()}


def bundle_file(make_run: Callable[[Path], list[Path]]) -> Callable[[Path], list[Path]]:
    """A bundle of a small run."""

    def make(folder: Path) -> list[Path]:
        from hilum.exchange.bundle import export
        from hilum.training.run import open_run

        work = folder.parent / "bundled"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        make_run(work)
        export(open_run(work / "run"), folder / "model.zip")
        return [folder / "model.zip"]

    return make


def read_bundle(path: Path) -> Any:
    from hilum.exchange.bundle import unpack
    from hilum.training.run import load_network, open_run

    place = path.parent / "unpacked"
    shutil.rmtree(place, ignore_errors=True)
    try:
        unpack(path, place)
        run = open_run(place)
        weights = [float(value.double().abs().sum()) for value in load_network(run, 0).state_dict().values()]
        return run.plan, [case.name for case in run.study.cases], weights
    finally:
        shutil.rmtree(place, ignore_errors=True)


def targets(make_run: Callable[[Path], list[Path]]) -> dict[str, tuple[Any, ...]]:
    """The targets of this file, by name; a bundle is made of a run that `make_run` writes."""
    return {
        "windows-tiff": (tiff_pyramids, read_windows),
        "windows-zarr": (zarr_pyramid, read_windows),
        "geojson": (geojson_file, read_drawn, False),
        "bundle": (bundle_file(make_run), read_bundle),
    }
