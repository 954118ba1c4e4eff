"""What the first page asks for: itself, its tiles, what inspect finds, and where dropped images go."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from hilum.errors import HilumError
from hilum.studio.answers import NEVER, answering
from hilum.studio.aside import aside
from hilum.studio.desk import Desk
from hilum.studio.pages.images import gallery_tiles, images_html
from hilum.studio.pages.plain import findings_html
from hilum.studio.places import gather_images
from hilum.studio.uploads import LIMIT_FILE_BYTES, add_image
from hilum.verbs.inspect import inspect


def make_images_router(desk: Desk) -> APIRouter:
    """The first page and what belongs to it."""
    router = APIRouter()

    @router.get("/")
    def images() -> Any:
        return HTMLResponse(images_html(desk), headers=NEVER)

    @router.get("/api/tiles")
    @answering
    def tiles(sort: str = "name", keep: str = "all", text: str = "", start: int = 0) -> Any:
        found = gallery_tiles(desk, sort, keep, text, max(0, start))
        told = {"html": found.html, "words": found.words, "next": found.next}
        return JSONResponse(told, headers=NEVER)

    @router.get("/api/findings")
    async def findings() -> Any:
        try:
            desk.inspected = (await aside(lambda: inspect(desk.folder))).study.findings
        except HilumError as error:
            return JSONResponse({"error": str(error)}, 422)
        return HTMLResponse(findings_html(desk.inspected), headers=NEVER)

    @router.post("/api/gather")
    @answering
    def gather() -> Any:
        moved = gather_images(desk.view)
        desk.refresh()
        return {"moved": moved}

    @router.post("/api/image")
    async def image(request: Request, name: str) -> Any:
        with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
            path = Path(folder) / "content"
            if not await _received(request, path):
                return JSONResponse({"error": f"{name[:80]}: is too large; copy it into the folder"}, 413)
            return await run_in_threadpool(answering(_taken), desk, name, path)

    return router


def _taken(desk: Desk, name: str, path: Path) -> dict[str, str]:
    new = add_image(desk.view, name, path)
    desk.refresh()
    return {"name": new.name, "folder": new.parent.name}


async def _received(request: Request, path: Path) -> bool:
    """Write what is sent to a file; False where it is too much."""
    size = 0
    with path.open("wb") as handle:
        async for chunk in request.stream():
            size += len(chunk)
            if size > LIMIT_FILE_BYTES:
                return False
            handle.write(chunk)
    return True
