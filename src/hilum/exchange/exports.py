"""Ways to hand a run on, by name: each writes files that other software reads."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hilum.errors import PlanError, RunError
from hilum.training.run import Run

EXPORTS = {
    "onnx": "hilum.exchange.onnx_folder:export",
    "torchscript": "hilum.exchange.torch_files:export_torchscript",
    "torch-export": "hilum.exchange.torch_files:export_program",
    "bioimageio": "hilum.exchange.bioimageio_package:export",
    "bundle": "hilum.exchange.bundle:export",
    "card": "hilum.exchange.card:export",
}


@dataclass(frozen=True)
class Exported:
    """What an export wrote: the folder or file, all files in it, and what was found out, line by line."""

    path: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


Export = Callable[[Run, Path | None], Exported]


def names() -> Sequence[str]:
    """Names of all formats.

    >>> names()[0]
    'onnx'
    """
    return tuple(EXPORTS)


def find_export(name: str) -> Export:
    """A format by name. Raises PlanError that lists the names."""
    if name not in EXPORTS:
        near = difflib.get_close_matches(name, EXPORTS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PlanError(f"--format {name}: not one of {', '.join(EXPORTS)}{hint}")
    module, _, attribute = EXPORTS[name].partition(":")
    return cast("Export", getattr(importlib.import_module(module), attribute))


def place_file(run: Run, out: Path | None, default: str) -> Path:
    """Where an export of one file goes: as `place` says, and into an empty folder under its own name.

    Raises RunError where the path that was asked for exists.
    """
    path = place(run, out, default)
    return path / default if path.is_dir() else path


def place(run: Run, out: Path | None, default: str) -> Path:
    """Where an export goes: a new path that was asked for, or `exports/NAME` of the run, made anew.

    Raises RunError where the path that was asked for exists.
    """
    if out is None:
        return run.folder / "exports" / default
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunError(f"--out {out}: is there already; name a new one")
    return out
