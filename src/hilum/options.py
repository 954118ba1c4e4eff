"""Arguments and options that several commands of the command line share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceName(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PredictDevice(StrEnum):
    """Where to predict; `openvino` is a processor, too."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    openvino = "openvino"


class MaskFormat(StrEnum):
    """How masks of huge images are written."""

    tiff = "tiff"
    zarr = "zarr"


Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of annotated images, or a study.csv.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run made by hilum train.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Minutes = Annotated[
    float | None, typer.Option(min=0.05, help="Wall time of the whole command, scoring included.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps a fold, instead of minutes.")]
Folds = Annotated[int | None, typer.Option(min=2, help="Folds of the cross-validation.")]
Recipe = Annotated[str | None, typer.Option(metavar="NAME|PLAN", help="A recipe by name, or a plan file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a planned value.")
]
Device = Annotated[DeviceName, typer.Option(help="Where to compute.")]
PredictOn = Annotated[
    PredictDevice,
    typer.Option("--device", help="Where to compute; openvino: processors, up to twice as fast."),
]
GroupBy = Annotated[
    str | None, typer.Option(metavar="REGEX", help="What in a file's path names the patient or animal.")
]
Cluster = Annotated[
    str | None, typer.Option(metavar="local|ADDRESS", help="Spread the work over a Ray cluster.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers of the cluster; else all.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad cases out instead of stopping.")]
