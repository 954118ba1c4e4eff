"""Who may speak to the studio: the page on this machine that holds the token, and nobody else."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
COOKIE = "hilum-studio"
LIMIT_BODY_BYTES = 2_000_000_000
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; "
    "worker-src 'self' blob:; frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)


def guarded(app: App, token: str, limit_bytes: int = LIMIT_BODY_BYTES) -> App:
    """The app behind its guard: host, origin, token and size of what is sent are checked before it.

    The token comes once in the address (?token=), and is kept as a cookie that no script reads and no
    other site sends. Anything else is answered 403 (421 for another host, 413 for too large a body).
    """

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        headers = _headers(scope)
        status, why = refusal(scope, headers, token, limit_bytes)
        if status:
            await _refuse(scope, receive, send, status, why)
            return
        if scope["type"] == "http" and _given(scope):
            await _welcome(scope, send, token)
            return
        await app(scope, receive, _safer(send) if scope["type"] == "http" else send)

    return guard


def refusal(scope: Scope, headers: dict[str, str], token: str, limit_bytes: int) -> tuple[int, str]:
    """Why a request is refused, as a status and a sentence; (0, "") where it is not."""
    if not _is_local(headers.get("host", "")):
        return 421, "the studio answers on this machine only, at 127.0.0.1"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers["host"]:
        return 403, "another site asked for this; the studio answers its own page only"
    if (
        headers.get("sec-fetch-site") in ("cross-site", "same-site")
        and headers.get("sec-fetch-mode") != "navigate"
    ):
        return 403, "another site asked for this; the studio answers its own page only"
    given = _given(scope) or _cookie(headers.get("cookie", ""), port_of(headers["host"]))
    if not hmac.compare_digest(given.encode(), token.encode()):
        return 403, "this address lacks its token; open the one that hilum studio printed"
    if "transfer-encoding" in headers:
        return 411, "what is sent needs its length"
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit_bytes:
        return 413, f"more than {limit_bytes / 1e9:g} GB at once; copy such files into the folder instead"
    return 0, ""


def port_of(host: str) -> str:
    """The port of a Host header; cookies of one machine are shared by all its ports, so its name holds it."""
    return host.rpartition(":")[2] if ":" in host else "80"


def _is_local(host: str) -> bool:
    name, _, port = host.rpartition(":") if ":" in host else (host, "", "")
    return name in _HOSTS and (not port or port.isdigit())


def _headers(scope: Scope) -> dict[str, str]:
    raw: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def _given(scope: Scope) -> str:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return query.get("token", [""])[0] if scope["type"] == "http" else ""


def _cookie(text: str, port: str) -> str:
    try:
        found = SimpleCookie(text).get(f"{COOKIE}-{port}")
    except CookieError:
        return ""
    return found.value if found else ""


async def _welcome(scope: Scope, send: Send, token: str) -> None:
    """Keep the token as a cookie and go on to the address without it, so that no history holds it."""
    host = _headers(scope)["host"]
    cookie = f"{COOKIE}-{port_of(host)}={token}; HttpOnly; SameSite=Strict; Path=/"
    headers = [(b"location", b"/" + scope["path"].lstrip("/\\").encode()), (b"set-cookie", cookie.encode())]
    headers += [(b"referrer-policy", b"no-referrer"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4403, "reason": why})
        return
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _safer(send: Send) -> Send:
    """Answers with headers that keep pages from being framed, sniffed or made to load from elsewhere."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                (b"x-content-type-options", b"nosniff"),
                (b"referrer-policy", b"same-origin"),
                (b"content-security-policy", _POLICY.encode()),
            ]
        await send(message)

    return with_headers
