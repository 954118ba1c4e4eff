"""The HTTP interface: /predict, /info, /health, /metrics, and its OpenAPI description."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, File, Query, Request, Response, UploadFile
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

import hilum
from hilum.errors import RunError
from hilum.service.answers import NAME, Answer, RefusedError, suffix_of
from hilum.service.bounds import BodyBounds
from hilum.service.limits import Limits
from hilum.service.metrics import Metrics
from hilum.service.worker import STOPPING, Job, Worker
from hilum.training.run import Run

_COPIED_BYTES = 1 << 20
_BEARER = HTTPBearer(auto_error=False)
_LOCAL = ["localhost", "127.0.0.1", "::1", "[::1]"]


class Error(BaseModel):
    """Why there is no answer."""

    error: str


class Health(BaseModel):
    """That the service answers, and how many requests wait."""

    status: str
    waiting: int


class MaskForm(StrEnum):
    """How masks are wanted."""

    none = "none"
    file = "file"


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "No multipart form, or a host that is not served"},
    401: {"model": Error, "description": "The token is missing or wrong"},
    408: {"model": Error, "description": "The upload took too long"},
    413: {"model": Error, "description": "The upload has too many bytes or pixels"},
    415: {"model": Error, "description": "No image of a known kind"},
    422: {"model": Error, "description": "A damaged image, one that does not fit the model, or a wrong form"},
    429: {"model": Error, "description": "Too many requests are waiting"},
    500: {"model": Error, "description": "The prediction failed"},
    503: {"model": Error, "description": "The service is stopping"},
    504: {"model": Error, "description": "The answer took too long"},
}
_MASK = {"schema": {"type": "string", "format": "binary"}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Scores and measurements; or one mask, as PNG or compressed NIfTI, where asked for",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "image/png": _MASK,
            "application/gzip": _MASK,
        },
    }
}


def make_app(
    run: Run, worker: Worker, limits: Limits, metrics: Metrics, token: str | None, host: str = "127.0.0.1"
) -> FastAPI:
    """The application of one run. With a `token` all but /health asks for it.

    Without, only this machine's own names and `host` are served, so that no page of another site can reach
    it.
    """
    app = FastAPI(
        title="Hilum",
        version=hilum.__version__,
        description=f"{run.plan.task} of {', '.join(run.plan.data.outputs)}. Research use only.",
        lifespan=_lifespan(worker),
        openapi_url="/openapi.json" if token is None else None,  # and with it /docs and /redoc
    )
    allowed = [Depends(_guard(token))]
    if token is not None:
        app.get("/openapi.json", dependencies=allowed, include_in_schema=False)(app.openapi)
    shared: dict[int | str, dict[str, Any]] = {code: _REFUSALS[code] for code in (400, 401)}
    app.post("/predict", dependencies=allowed, responses={**_ANSWER, **_REFUSALS}, response_model=None)(
        _predict_route(run, worker, limits, metrics)
    )
    app.get("/info", dependencies=allowed, responses=shared)(lambda: info_of(run, limits))
    app.get("/health", responses={400: _REFUSALS[400]})(
        lambda: Health(status="ok", waiting=worker.jobs.qsize())
    )
    app.get("/metrics", dependencies=allowed, responses=shared, response_class=PlainMetrics)(
        lambda: PlainMetrics(metrics.text())
    )
    _tell_errors(app)
    app.add_middleware(BodyBounds, most_bytes=limits.upload_bytes, seconds=limits.seconds)
    if token is None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL, host, f"[{host}]"])
    return app


class PlainMetrics(Response):
    """Prometheus' text format."""

    media_type = "text/plain; version=0.0.4"


def info_of(run: Run, limits: Limits) -> dict[str, Any]:
    """What a client should know of the run."""
    try:
        scores = run.summary()
    except RunError:
        scores = {}
    kept = ("auc", "accuracy", "operating_point", "cpm")
    return {
        "task": run.plan.task,
        "outputs": list(run.plan.data.outputs),
        "network": run.plan.model.name,
        "folds": len(run.trained_folds()),
        "channels": run.plan.data.channels,
        "scores": {key: scores[key] for key in kept if key in scores}
        | {name: found.get("dice") for name, found in scores.get("targets", {}).items()},
        "limits": vars(limits),
        "version": hilum.__version__,
        "use": "research only; no medical device",
    }


def _lifespan(worker: Worker) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        await asyncio.to_thread(worker.stop)

    return lifespan


def _guard(token: str | None) -> Callable[..., None]:
    """Asks for the token, compared in constant time."""

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None or not secrets.compare_digest(given.credentials.encode(), (token or "").encode()):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED, "say Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )

    return check if token is not None else lambda: None


def _predict_route(run: Run, worker: Worker, limits: Limits, metrics: Metrics) -> Callable[..., Any]:
    async def predict(
        request: Request,
        file: Annotated[UploadFile, File(description="One image of any readable kind")],
        mask: Annotated[MaskForm, Query(description="file: the mask itself instead of JSON")] = MaskForm.none,
        target: Annotated[str | None, Query(description="Whose mask; the first output if left out")] = None,
    ) -> Response:
        """Predict one image: scores and measurements as JSON, or the mask of one target as a file.

        The mask is a PNG of 0 and 255 for pictures, a compressed NIfTI of 0 and 1 for volumes. It comes with
        `?mask=file`, or to who accepts image/png or application/gzip and not JSON.
        """
        begun, status = time.perf_counter(), int(HTTPStatus.OK)
        try:
            wanted = _target(run, target) if mask is MaskForm.file or _wants_mask(request) else None
            path = await asyncio.to_thread(_stored, file, worker)
            answer = await _answered(worker, path, limits.seconds)
            return _response(answer, wanted)
        except RefusedError as error:
            status = error.status
            headers = {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else None
            return JSONResponse({"error": str(error)}, status, headers)
        finally:
            metrics.requests.labels(status=str(status)).inc()
            metrics.seconds.observe(time.perf_counter() - begun)

    return predict


def _wants_mask(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "json" not in accepted and ("image/png" in accepted or "application/gzip" in accepted)


def _target(run: Run, name: str | None) -> str:
    """The target whose mask is wanted. Raises RefusedError 422 for an unknown one."""
    outputs = run.plan.data.outputs
    if name is not None and name not in outputs:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"target: choose one of {', '.join(outputs)}")
    return name or outputs[0]


def _stored(file: UploadFile, worker: Worker) -> Path:
    """The upload in a new folder, under a name of our own."""
    path = worker.new_folder() / f"{NAME}{suffix_of(file.filename or '')}"
    with path.open("wb") as handle:
        shutil.copyfileobj(file.file, handle, _COPIED_BYTES)
    return path


async def _answered(worker: Worker, path: Path, seconds: float) -> Answer:
    """Wait for the worker. Raises RefusedError: 504 after so many seconds, 503, or what it says."""
    job = Job(path)
    worker.submit(job)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(job.future), seconds)
    except TimeoutError:
        raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, f"no answer within {seconds:g} s") from None
    except asyncio.CancelledError:  # by the server, which waits for some seconds before it stops
        raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING) from None


def _response(answer: Answer, target: str | None) -> Response:
    if target is None:
        return JSONResponse(answer.content)
    if target not in answer.masks:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "this model makes no masks; ask for JSON")
    return Response(answer.masks[target], media_type=answer.media)


def _tell_errors(app: FastAPI) -> None:
    """All errors in one form: {"error": text}."""

    @app.exception_handler(StarletteHTTPException)
    async def told(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return JSONResponse({"error": found}, HTTPStatus.UNPROCESSABLE_ENTITY)
