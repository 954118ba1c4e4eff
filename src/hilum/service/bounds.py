"""A bound on every request body: bytes are counted as they come, and they may not come for ever."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
ROOM_BYTES = 65_536


class _StoppedError(Exception):
    """A body beyond its bounds; what the application makes of it is not sent."""


class BodyBounds:
    """Answers 413 to bodies larger than `most_bytes`, 408 to those that take longer than `seconds`."""

    def __init__(self, app: App, most_bytes: int, seconds: float) -> None:
        self.app, self.most, self.seconds = app, most_bytes + ROOM_BYTES, seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on, watching its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _declared(scope) > self.most:
            await _refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large())
            return
        await self._watched(scope, receive, send)

    async def _watched(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        came, whole = 0, False
        stopped: list[tuple[HTTPStatus, str]] = []
        end = asyncio.get_running_loop().time() + self.seconds

        async def counted() -> Message:
            nonlocal came, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                stopped.append((HTTPStatus.REQUEST_TIMEOUT, f"the upload took more than {self.seconds:g} s"))
                raise _StoppedError from None
            came += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if came > self.most:
                stopped.append((HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._too_large()))
                raise _StoppedError
            return message

        async def unless_stopped(message: Message) -> None:
            if not stopped:
                await send(message)

        with contextlib.suppress(_StoppedError):
            await self.app(scope, counted, unless_stopped)
        if stopped:
            await _refuse(send, *stopped[0])

    def _too_large(self) -> str:
        return f"the upload is larger than {self.most - ROOM_BYTES:,} bytes"


def _declared(scope: MutableMapping[str, Any]) -> int:
    """The length that the client announces; 0 where it does not, or writes nonsense."""
    value = dict(scope["headers"]).get(b"content-length", b"")
    return int(value) if value.isdigit() else 0


async def _refuse(send: Send, status: HTTPStatus, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
