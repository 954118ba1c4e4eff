"""Ctrl-C and SIGTERM, heard at once but acted on between two steps, where the state is whole."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stops_held_back() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C and SIGTERM back; calling what is yielded raises KeyboardInterrupt where one has come.

    A second signal interrupts at once. Signals that the process was told to ignore stay ignored. Outside
    the main thread, which alone hears signals, nothing is held back.
    """
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)
        logger.warning("stopping after this step; once more stops at once")

    def check() -> None:
        if heard:
            raise KeyboardInterrupt

    with _handled_by(hear):
        yield check
    check()


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, which schedulers and containers send, end the work as Ctrl-C does."""

    def hear(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled_by(hear, (signal.SIGTERM,)):
        yield


@contextlib.contextmanager
def _handled_by(
    hear: Callable[[int, FrameType | None], None], signals: tuple[signal.Signals, ...] = _SIGNALS
) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in signals:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
