"""`hilum export`: a run in a form that other software reads."""

from __future__ import annotations

from pathlib import Path

from hilum.exchange.exports import Exported, find_export
from hilum.training.run import open_run


def export(run: str | Path, format: str, out: str | Path | None = None) -> Exported:
    """Hand a run on as onnx, torchscript, torch-export, bioimageio, bundle or card.

    Without `out` it goes to `exports/` of the run, the card to MODEL.md in the run. Raises PlanError for an
    unknown format, RunError where `run` is not a trained run or `out` exists, HilumError where a package is
    missing or what was exported does not answer as the run does.
    """
    write = find_export(format)
    return write(open_run(Path(run)), Path(out) if out is not None else None)
