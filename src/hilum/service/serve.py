"""`hilum serve`: a run behind HTTP on this machine, or with a token on others."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.errors import HilumError, needed
from hilum.exchange.bundle import opened
from hilum.service.limits import Limits, is_loopback
from hilum.verbs.predict import load_predictor

if TYPE_CHECKING:
    from uvicorn import Server

BACKLOG = 64


def serve(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: Limits | None = None,
    device: str = "auto",
    told: Callable[[str], None] | None = None,
) -> None:
    """Serve a run or bundle until stopped; `told` hears where, and the token where one was made.

    On any other address than this machine's own a token is asked for; it is made where none is given.
    Raises RunError where `run` is none, HilumError where packages are missing or the port is taken.
    """
    for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        needed(package, "serve")
    limits = limits or Limits()
    made = None if token or is_loopback(host) else secrets.token_urlsafe(24)
    server, listening = _server(Path(run), limits, token or made, device, host, port)
    shown = f"[{host}]" if ":" in host else host
    where = f"http://{shown}:{listening.getsockname()[1]}"
    if told:
        told(f"serving {run} at {where}, described at {where}/docs")
        if made:
            told(f"token: {made}")
    server.run(sockets=[listening])


def _server(
    path: Path, limits: Limits, token: str | None, device: str, host: str, port: int
) -> tuple[Server, socket.socket]:
    """The server of a run and the socket that it listens on."""
    import uvicorn

    from hilum.service.app import make_app
    from hilum.service.metrics import Metrics
    from hilum.service.worker import Worker

    run, metrics = opened(path), Metrics()
    listening = _listening(host, port)
    worker = Worker(run, load_predictor(run, device), limits, metrics)
    app = make_app(run, worker, limits, metrics, token, host)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=10)
    return uvicorn.Server(config), listening


def _listening(host: str, port: int) -> socket.socket:
    """A socket on that address. Raises HilumError where it is taken or none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)  # from here on callers wait, where they were refused until the server runs
    except (OSError, OverflowError) as error:
        made.close()
        raise HilumError(
            f"--host {host} --port {port}: cannot be listened on ({error}); take another"
        ) from error
    return made
