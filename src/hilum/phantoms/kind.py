"""What each kind of phantom study says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of phantom study: its one function and what it draws when nothing is asked for.

    `make(out, cases, seed, size, **options)` writes the study; `cases` counts labelled training cases,
    `size` is in array order, (Y, X) or (Z, Y, X).
    """

    make: Callable[..., None]
    about: str
    cases: int
    size: tuple[int, ...]
    smallest: tuple[int, ...]
    fewest: int = 1
