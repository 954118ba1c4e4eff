"""The studio's server: on this machine alone, behind a token, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import secrets
import socket
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.errors import HilumError
from hilum.study.names import natural

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from hilum.studio.desk import Desk
    from hilum.studio.guard import App

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
PORT = 8321
FIRST_SEEN = 18
PATIENCE_S = 12.0


def serve(
    folder: str | Path,
    *,
    port: int | None = None,
    runs: str | Path | None = None,
    browser: bool = True,
    told: Callable[[str], None] = logger.info,
) -> None:
    """Open the studio on a folder and serve it until Ctrl-C; `told` gets its address with the token.

    `port` is the first free one from 8321 where none is given, `runs` where trainings go (beside the folder).
    Raises HilumError where the extra is missing or the port is taken, StudyError where there is no image.
    """
    check_installed()
    from hilum.studio.desk import open_desk
    from hilum.studio.thumbnails import warm

    listener = listen(port)
    desk = open_desk(Path(folder), Path(runs).resolve() if runs else None)
    token = secrets.token_urlsafe(24)
    app = make_app(desk, token)
    address = f"http://{HOST}:{listener.getsockname()[1]}/?token={token}"
    told(f"The studio is open at\n\n    {address}\n\nKeep this window; Ctrl-C ends it, and nothing is lost.")
    warm(desk, sorted(desk.view.by_name, key=natural)[:FIRST_SEEN])
    if browser:
        webbrowser.open(address)
    run_server(app, listener, desk)


def check_installed() -> None:
    """Raise HilumError that says what to type where the studio's own packages are missing."""
    missing = [name for name in ("nicegui", "fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise HilumError(f"the studio needs {', '.join(missing)}; type: pip install 'hilum[studio]'")


def listen(port: int | None) -> socket.socket:
    """A socket on this machine's own address. Raises HilumError where the port is taken."""
    for number in [port] if port is not None else [*range(PORT, PORT + 20), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, number))
            listener.listen(64)  # two studios that start at once may both bind, but not both listen
        except (OSError, OverflowError):
            listener.close()
            continue
        return listener
    raise HilumError(f"--port {port}: is taken or not allowed; leave --port out for a free one")


def make_app(desk: Desk, token: str) -> App:
    """The whole web application of one desk, behind its guard."""
    from fastapi import FastAPI
    from nicegui import ui
    from starlette.staticfiles import StaticFiles

    from hilum.studio.api import make_router
    from hilum.studio.guard import guarded
    from hilum.studio.images_api import make_images_router
    from hilum.studio.pages.canvas import STATIC

    app = FastAPI(
        title="Hilum studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_saving(desk)
    )
    app.include_router(make_router(desk))
    app.include_router(make_images_router(desk))
    app.mount("/studio-static", StaticFiles(directory=STATIC))
    _add_pages(desk)
    ui.run_with(
        app,
        title="Hilum studio",
        tailwind=False,
        show_welcome_message=False,
        favicon=_ICON,
        language="en-US",
        gzip_middleware_factory=None,  # on one machine packing takes longer than sending
    )
    return guarded(app, token)


_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<circle cx="16" cy="16" r="14" fill="#00577f"/>'
    '<path d="M10 8v16M22 8v16M10 16h12" stroke="#fff" stroke-width="3.2" stroke-linecap="round"/></svg>'
)


def _saving(desk: Desk) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    """Write masks to their files soon after their last stroke, and all of them when the studio ends."""
    from hilum.studio.easel import SAVE_AFTER_S

    async def keep_saving() -> None:
        while True:
            await asyncio.sleep(SAVE_AFTER_S / 2)
            await asyncio.to_thread(_saved, partial(desk.easel.save_all, SAVE_AFTER_S))

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(keep_saving())
        yield
        task.cancel()
        _saved(desk.easel.save_all)

    return lifespan


def _saved(save: Callable[[], object]) -> None:
    """Save, and tell what went wrong: what is painted later must reach its file, too."""
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(save).exception()
    if isinstance(error, HilumError):
        logger.warning("%s", error)
    elif error is not None:
        told = "Masks could not be saved; their strokes stay in the journal in .studio"
        logger.error(told, exc_info=error)


def _add_pages(desk: Desk) -> None:
    from nicegui import ui

    from hilum.studio.pages.label import label_page
    from hilum.studio.pages.next_images import next_page
    from hilum.studio.pages.paint import paint_page
    from hilum.studio.pages.results import results_page
    from hilum.studio.pages.train import train_page

    @ui.page("/paint")
    def paint(case: str = "") -> None:
        paint_page(desk, case)

    @ui.page("/label")
    def label(case: str = "") -> None:
        label_page(desk, case)

    @ui.page("/train")
    def train() -> None:
        train_page(desk)

    @ui.page("/results")
    def results(run: str = "") -> None:
        results_page(desk, run)

    @ui.page("/next")
    def next_images() -> None:
        next_page(desk)


def run_server(app: App, listener: socket.socket, desk: Desk) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    import uvicorn

    config: Any = uvicorn.Config(
        app,
        log_level="warning",
        ws_max_size=64_000_000,
        timeout_graceful_shutdown=3,
        access_log=False,
        lifespan="on",
    )
    logging.getLogger("nicegui").setLevel(logging.WARNING)
    server = uvicorn.Server(config)
    threading.Thread(target=_end_in_time, args=(server, desk), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _end_in_time(server: uvicorn.Server, desk: Desk) -> None:
    """End the process where the server was told to end and hangs; masks are in their files by then."""
    while not server.should_exit:
        time.sleep(0.5)
    time.sleep(PATIENCE_S)
    _saved(desk.easel.save_all)
    os._exit(0)
