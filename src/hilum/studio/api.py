"""What the page asks for besides its widgets: pictures, masks, layers, and where its strokes go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from hilum.ct.hounsfield import WINDOWS
from hilum.errors import HilumError
from hilum.image.colours import target_colour
from hilum.studio import explaining, layers, pictures
from hilum.studio.answers import NEVER, answering
from hilum.studio.cutting import cut_field, fields_of
from hilum.studio.desk import Desk
from hilum.studio.drawn import exported, imported
from hilum.studio.journal import Stroke, plane_of, plane_pixels
from hilum.studio.nodules import decide, nodules_of
from hilum.studio.places import plain_target, why_not
from hilum.studio.rounds import all_rounds
from hilum.studio.spans import from_bytes, spans_of, to_bytes
from hilum.studio.thumbnails import thumbnail_of
from hilum.studio.view import case_of
from hilum.study.fields import SIDE

LIMIT_STROKE_BYTES = 64_000_000
PRIVATE = {"Cache-Control": "private, max-age=600"}
LONG = {"Cache-Control": "private, max-age=31536000, immutable"}


def make_router(desk: Desk) -> APIRouter:
    """The addresses under /api; every name in them is looked up, none is taken as a path."""
    router = APIRouter(prefix="/api")
    _add_pictures(router, desk)
    _add_masks(router, desk)
    _add_layers(router, desk)
    _add_files(router, desk)
    return router


def _add_pictures(router: APIRouter, desk: Desk) -> None:
    @router.get("/case")
    @answering
    def case(case: str) -> Any:
        return JSONResponse(describe(desk, case), headers=NEVER)

    @router.get("/tile")
    @answering
    def tile(
        case: str,
        level: int,
        row: int,
        column: int,
        axis: int = 0,
        index: int = 0,
        low: float | None = None,
        high: float | None = None,
    ) -> Any:
        window = pictures.Window(low, high) if low is not None and high is not None else None
        found = case_of(desk.view, case)
        if desk.slides.is_slide(found):
            content = desk.slides.tile(found, level, row, column, window)
            return Response(content, media_type="image/png", headers=PRIVATE)
        image = desk.images.get(case)
        values = pictures.plane(image, axis, index)
        picture = pictures.tile(values, level, row, column, window)
        return Response(pictures.png(picture), media_type="image/png", headers=PRIVATE)

    @router.get("/thumbnail")
    @answering
    def thumbnail(case: str, masks: int = 1, v: str = "") -> Any:
        headers = LONG if v else PRIVATE
        return Response(thumbnail_of(desk, case, bool(masks)), media_type="image/jpeg", headers=headers)

    @router.get("/picture")
    @answering
    def picture(case: str, side: int = 1024) -> Any:
        image = desk.images.get(case)
        small = pictures.thumbnail(image, side=max(64, min(side, 2048)))
        return Response(pictures.jpeg(small, 92), media_type="image/jpeg", headers=PRIVATE)

    @router.get("/predicted")
    @answering
    def predicted(run: str, case: str) -> Any:
        return Response(prediction_of(desk, run, case), media_type="image/jpeg", headers=PRIVATE)


_NOT_MASKS = "this study is about labels or marks, not masks: open a folder of its own to paint"


def describe(desk: Desk, name: str) -> dict[str, Any]:
    """What the viewer needs to know of a case before its pixels come."""
    view, case = desk.view, case_of(desk.view, name)
    if desk.slides.is_slide(case):
        bare = {
            "presets": {},
            "tile": pictures.TILE,
            "targets": [],
            "marks": [],
            "run": "",
            "explains": [],
            "network_layers": [],
            "out_of_fold": False,
        }
        named = {"case": name, "group": case.group, "paintable": False, "slide": True}
        named |= {"fields": fields_of(view, case), "field_side": SIDE}
        return {**named, **desk.slides.describe(case), **bare}
    image = desk.images.get(name)
    window = pictures.natural_window(image)
    run = desk.run
    source = layers.source_of(run, name)
    known = run.plan.data.outputs if run is not None else []
    targets = desk.all_targets() if view.kind in ("masks", "none") else []
    return {
        "case": name,
        "paintable": view.kind in ("masks", "none"),
        "group": case.group,
        "labels": [label for label, given in case.labels.items() if given == 1],
        "shape": list(image.shape),
        "channels": image.channels,
        "kind": str(image.array.dtype),
        "spacing": list(image.spacing.sizes) if image.spacing.known else None,
        "unit": image.spacing.unit,
        "window": [window.low, window.high] if window else None,
        "range": pictures.value_range(image.array),
        "presets": WINDOWS if pictures.looks_like_ct(image) else {},
        "tile": pictures.TILE,
        "targets": [
            {
                "name": target,
                "colour": target_colour(at).hex,
                "annotated": target in case.masks,
                "locked": why_not(view, case, target) if view.kind in ("masks", "none") else _NOT_MASKS,
                "predicted": source is not None and target in known and len(image.shape) >= 2,
                "threshold": layers.threshold_of(source, name, target) if source and target in known else 0.5,
            }
            for at, target in enumerate(targets)
        ],
        "explains": explaining.explains(run),
        "network_layers": explaining.known_layers(run),
        "out_of_fold": bool(source and source.out_of_fold),
        "run": run.folder.name if run is not None else "",
        "marks": _marks(desk, name),
    }


def _marks(desk: Desk, name: str) -> list[dict[str, Any]]:
    return nodules_of(desk.view, desk.run, name, desk.images.get) if desk.view.kind == "marks" else []


def prediction_of(desk: Desk, run_name: str, name: str) -> bytes:
    """A case with what a run that may still be training found in it, out of fold, as a small JPEG."""
    run = next((one.run for one in all_rounds(desk.runs) if one.name == run_name), None)
    source = layers.source_of(run, name)
    if run is None or source is None:
        raise HilumError(f"{run_name}: has not predicted {name} yet")
    image, outputs = desk.images.read(name), run.plan.data.outputs
    if len(image.shape) != 2:
        return pictures.jpeg(pictures.thumbnail(image))
    masks = {
        at: layers.predicted_plane(source, name, target, image.shape, 0, 0)
        for at, target in enumerate(outputs)
    }
    return pictures.jpeg(pictures.thumbnail(image, masks))


def _add_masks(router: APIRouter, desk: Desk) -> None:
    @router.get("/mask")
    @answering
    def mask(case: str, target: str, axis: int = 0, index: int = 0) -> Any:
        painting = desk.easel.open(case, target)
        content = to_bytes(spans_of(plane_of(painting.mask, axis, index)))
        headers = {**NEVER, "X-Version": str(painting.version), "X-Recovered": str(int(painting.recovered))}
        return Response(content, media_type="application/octet-stream", headers=headers)

    @router.post("/stroke")
    async def stroke(
        request: Request, case: str, target: str, version: int, key: str, axis: int = 0, index: int = 0
    ) -> Any:
        content = await request.body()
        return await run_in_threadpool(painted, content, case, target, version, key, axis, index)

    @answering
    def painted(content: bytes, case: str, target: str, version: int, key: str, axis: int, index: int) -> Any:
        if len(content) > LIMIT_STROKE_BYTES:
            raise HilumError("this stroke changes too many pixels at once; save, and go on with smaller ones")
        painting = desk.easel.open(case, target)
        spans = from_bytes(content, plane_pixels(painting.mask.shape, axis))
        plane_of(painting.mask, axis, index)
        return {"version": desk.easel.stroke(case, target, Stroke(spans, axis, index, key[:64]), version)}

    @router.post("/save")
    @answering
    def save() -> Any:
        paths = desk.easel.save_all()
        waiting = [f"{target} of {case}" for case, target in desk.easel.waiting()]
        return {"saved": [path.relative_to(desk.view.root).as_posix() for path in paths], "waiting": waiting}

    @router.post("/empty")
    @answering
    def empty(case: str, target: str) -> Any:
        desk.easel.begin(case, target)
        return {"saved": True}

    @router.post("/field")
    @answering
    def field(case: str, y: int, x: int, side: int = SIDE) -> Any:
        return {"case": cut_field(desk, case, y, x, side)}

    @router.post("/judge")
    @answering
    def judge(case: str, x: float, y: float, z: float, diameter: float, decision: str = "") -> Any:
        decide(desk.view, case, (x, y, z), diameter, decision)
        return {"decision": decision}

    @router.post("/target")
    @answering
    def new_target(name: str) -> Any:
        plain = plain_target(name)
        if plain not in desk.all_targets():
            desk.targets.append(plain)
        return {"target": plain}


def _add_layers(router: APIRouter, desk: Desk) -> None:
    @router.get("/prediction")
    @answering
    def prediction(case: str, target: str, axis: int = 0, index: int = 0) -> Any:
        shape, source = desk.images.get(case).shape, layers.answer_on(desk.run, case)
        return _as_spans(layers.predicted_plane(source, case, target, shape, axis, index))

    @router.get("/uncertainty")
    @answering
    def uncertainty(case: str, target: str, axis: int = 0, index: int = 0) -> Any:
        shape, source = desk.images.get(case).shape, layers.answer_on(desk.run, case)
        values = layers.probability_plane(source, case, target, shape, axis, index)
        return _as_png(layers.entropy_plane(values))

    @router.get("/explained")
    @answering
    def explained(
        case: str,
        of: str = "",
        what: str = explaining.GRADCAM,
        channel: int = 0,
        axis: int = 0,
        index: int = 0,
    ) -> Any:
        shape, run = desk.images.get(case).shape, desk.run
        place = explaining.place_in(run, shape, axis, index)
        if place is None:
            return Response(status_code=204)
        path = explaining.ask(desk, case, what, place)
        if path is None:
            return JSONResponse({"working": True}, 202, headers=NEVER)
        at = explaining.which_map(run, what, of, channel)
        known = {"X-Layers": json.dumps(explaining.known_layers(run))}
        return _as_png(explaining.map_plane(path, at, shape, axis, index), known)

    @router.get("/region")
    @answering
    def region(
        case: str,
        target: str,
        y: int,
        x: int,
        axis: int = 0,
        index: int = 0,
        bottom: int | None = None,
        right: int | None = None,
        level: float = 0.5,
    ) -> Any:
        shape, source = desk.images.get(case).shape, layers.answer_on(desk.run, case)
        values = layers.full_plane(source, case, target, shape, axis, index)
        end = (bottom, right) if bottom is not None and right is not None else None
        return _as_spans(layers.region(values, (y, x), end, level))

    @router.get("/wand")
    @answering
    def wand(case: str, y: int, x: int, tolerance: float = 12, axis: int = 0, index: int = 0) -> Any:
        image = desk.images.get(case)
        picture = pictures.shown(pictures.plane(image, axis, index), pictures.natural_window(image))
        return _as_spans(layers.flooded(picture, (y, x), tolerance))


def _as_spans(mask: NDArray[np.bool_]) -> Response:
    return Response(to_bytes(spans_of(mask)), media_type="application/octet-stream", headers=NEVER)


def _as_png(picture: pictures.Pixels, more: Mapping[str, str] | None = None) -> Response:
    return Response(pictures.png(picture), media_type="image/png", headers={**NEVER, **(more or {})})


def _add_files(router: APIRouter, desk: Desk) -> None:
    @router.get("/geojson")
    @answering
    def geojson(case: str) -> Any:
        name = f"{Path(case).name}.geojson"
        headers = {**NEVER, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        return Response(exported(desk, case), media_type="application/geo+json", headers=headers)

    @router.post("/geojson")
    async def take_geojson(request: Request, case: str) -> Any:
        content = await request.body()
        return await run_in_threadpool(answering(imported), desk, case, content)

    @router.get("/report")
    @answering
    def report(run: str) -> Any:
        return FileResponse(_of_round(desk, run, "report.html"), media_type="text/html", headers=NEVER)

    @router.get("/table")
    @answering
    def table(run: str, name: str) -> Any:
        allowed = ("measurements.csv", "measurements.xlsx", "regions.csv", "cases.csv", "nodules.csv")
        if name not in allowed:
            raise HilumError(f"{name}: is no table of a run; there are {', '.join(allowed)}")
        path = _of_round(desk, run, f"evaluation/{name}")
        return FileResponse(path, filename=f"{run}-{name}", headers=NEVER)


def _of_round(desk: Desk, name: str, inside: str) -> Path:
    """A file of a round; the round is looked up by its name."""
    folder = next((one.run.folder for one in all_rounds(desk.runs) if one.name == name), None)
    if folder is None or not (folder / inside).is_file():
        raise HilumError(f"{name}: has no {inside} yet")
    return folder / inside
