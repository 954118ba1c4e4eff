"""Phantom studies by name: a folder of believable images with their truth, from nothing but a seed."""

from __future__ import annotations

import difflib
import importlib
import inspect
from pathlib import Path
from typing import Any

from hilum.errors import HilumError
from hilum.phantoms.kind import Kind

KINDS = ("histology", "xray", "ct", "ultrasound")


def phantom_kind(name: str) -> Kind:
    """The kind of that name: `KIND` of the module with the same name. Raises HilumError where there is none.

    >>> phantom_kind("ct").size
    (120, 220, 220)
    """
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise HilumError(f"phantom kind {name!r} is not one of {', '.join(KINDS)}{hint}")
    kind: Kind = importlib.import_module(f"hilum.phantoms.{name}").KIND
    return kind


def make_phantom(
    kind: str,
    out: Path,
    cases: int | None = None,
    seed: int = 0,
    size: tuple[int, ...] | None = None,
    **options: Any,
) -> Path:
    """Write a phantom study of `kind` into the new folder `out` and return it.

    `cases` counts labelled training cases; unlabelled and test cases come on top. `size` is one image in
    array order, (Y, X) or (Z, Y, X). The same seed gives the same study. Options are the kind's own:
    `shortcut` (xray), `subsets` (ct), `contradictions` (ultrasound).
    Raises HilumError for an unknown kind or option, a size or number that is too small, or a full folder.
    """
    chosen = phantom_kind(kind)
    out = Path(out)
    cases, size = _cases(kind, chosen, cases), _size(kind, chosen, size)
    _check_options(kind, chosen, options)
    if seed < 0:
        raise HilumError(f"seed {seed} is below 0; give a whole number of 0 or more")
    _check_folder(out)
    chosen.make(out, cases, seed, size, **options)
    return out


def _cases(name: str, kind: Kind, cases: int | None) -> int:
    if cases is not None and cases < kind.fewest:
        raise HilumError(f"{cases} cases are too few for a {name} phantom; give {kind.fewest} or more")
    return kind.cases if cases is None else cases


def _size(name: str, kind: Kind, size: tuple[int, ...] | None) -> tuple[int, ...]:
    size = kind.size if size is None else tuple(size)
    fits = len(size) == len(kind.smallest)
    if not fits or any(n < least for n, least in zip(size, kind.smallest, strict=True)):
        axes = "(Z, Y, X)" if len(kind.smallest) == 3 else "(Y, X)"
        raise HilumError(f"size {size} is none for a {name} phantom; give {axes} of at least {kind.smallest}")
    return size


def _check_options(name: str, kind: Kind, options: dict[str, Any]) -> None:
    known = list(inspect.signature(kind.make).parameters)[4:]
    for option in options:
        if option not in known:
            allowed = ", ".join(known) if known else "none"
            raise HilumError(f"a {name} phantom has no option {option!r}; it has: {allowed}")


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise HilumError(f"{out}: is a file, and a phantom study needs a new folder; give another --out")
    if out.is_dir() and any(out.iterdir()):
        raise HilumError(f"{out}: is not empty; give another --out or remove the folder first")
