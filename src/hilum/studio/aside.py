"""Slow work beside the server's loop, in threads that do not keep the studio from ending."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from hilum.errors import HilumError

Result = TypeVar("Result")


async def aside(work: Callable[[], Result]) -> Result:
    """What slow work gives, done in a thread that does not keep the studio from ending.

    Raises the HilumError that it raises.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Result] = loop.create_future()

    def settle(done: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the studio has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if waiting.done() else done())

    def run() -> None:
        try:
            result = work()
        except HilumError as error:
            caught = error
            settle(lambda: waiting.set_exception(caught))
        else:
            settle(lambda: waiting.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await waiting
