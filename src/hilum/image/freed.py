"""Freed memory given back to the system: long work on huge images must not grow by what it has let go."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


def give_back() -> None:
    """Return pages that nothing uses to the system; nothing happens where the C library cannot.

    Large arrays that come and go between small ones that stay leave holes in the heap, which glibc keeps:
    a slide of 30,000 pixels a side came to 2.3 GB of them.

    >>> give_back()
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """`malloc_trim` of the GNU C library; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
