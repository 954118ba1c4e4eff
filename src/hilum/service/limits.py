"""What a service lets in, and for how long."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hilum.errors import HilumError


@dataclass(frozen=True)
class Limits:
    """Bounds of one service: bytes and pixels of an upload, seconds, waiting requests, images a batch."""

    upload_bytes: int = 100_000_000
    pixels: int = 200_000_000
    seconds: float = 60.0
    waiting: int = 32
    batch: int = 8

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise HilumError(f"limits of a service: {name} is {value}; it must be above zero")


def is_loopback(host: str) -> bool:
    """Whether an address is this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
