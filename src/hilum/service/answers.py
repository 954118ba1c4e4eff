"""What a run says of one uploaded image: rows as JSON holds them, masks as files hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch

from hilum import tasks
from hilum.errors import HilumError, ImageError
from hilum.files import plain
from hilum.image.image import Image
from hilum.image.readers import IMAGE_SUFFIXES, choose_reader, probe
from hilum.inference.predictor import Predictor
from hilum.service.limits import Limits
from hilum.study.masks import read_case_image
from hilum.study.study import Case, Source
from hilum.tasks.task import Delivery, Predicted
from hilum.training.run import Run

NAME = "image"
_ABOUT_THE_FILE = ("case", "group", "file", "seriesuid")


class RefusedError(HilumError):
    """An upload that is not predicted, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """Rows by table, and each mask as the bytes of a PNG or NIfTI file by target."""

    content: Mapping[str, Any]
    masks: Mapping[str, bytes] = field(default_factory=dict)
    media: str = "image/png"


@dataclass(frozen=True, eq=False)
class Seen:
    """An upload that was read: the image, and what the network sees of it (C, *S')."""

    case: Case
    image: Image
    prepared: torch.Tensor


def suffix_of(name: str) -> str:
    """The ending by which a reader is chosen; of the client's file name nothing else is used.

    >>> suffix_of("../../etc/Scan.NII.GZ"), suffix_of("passwd")
    ('.nii.gz', '')
    """
    fitting = [suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)]
    return max(fitting, key=len, default="")


def read_upload(path: Path, run: Run, limits: Limits) -> Seen:
    """Read and prepare an upload.

    Raises RefusedError: 415 where it is no image of a known kind, 413 where it has too many pixels, 422
    where it is damaged or does not fit the run.
    """
    try:
        choose_reader(path)
    except ImageError as error:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _said(error, path)) from error
    case = Case(NAME, Source(path))
    try:
        header = probe(path)
        pixels = header.channels * int(torch.Size(header.shape).numel())
        if pixels > limits.pixels:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the image has {pixels:,} values, {limits.pixels:,} are allowed",
            )
        image = read_case_image(case)
        return Seen(case, image, tasks.get_task(run.plan.task).prepare(image, run.plan))
    except RefusedError:
        raise
    except HilumError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, _said(error, path)) from error


def answer_of(seen: Seen, probability: Any, run: Run, out: Path) -> Answer:
    """Decide, measure and collect the masks of one image; `out` is a folder of its own."""
    delivery = Delivery(out, overlays=False, tables=False, root=seen.case.image.path.parent)
    predicted = Predicted(seen.case, seen.image, probability)
    summary = tasks.get_task(run.plan.task).deliver(run, [predicted], delivery)
    content = {
        "task": run.plan.task,
        "outputs": list(run.plan.data.outputs),
        "image": {
            "channels": seen.image.channels,
            "shape": list(seen.image.shape),
            "spacing": list(seen.image.spacing.sizes),
            "unit": seen.image.spacing.unit,
        },
        **{key: [_row(row) for row in rows] for key, rows in summary.items() if isinstance(rows, list)},
    }
    files = {
        folder.name: next(folder.iterdir()) for folder in sorted(out.glob("masks/*")) if any(folder.iterdir())
    }
    media = "image/png" if len(seen.image.shape) == 2 else "application/gzip"
    return Answer(plain(content), {name: path.read_bytes() for name, path in files.items()}, media)


def predict_together(predictor: Predictor, seen: list[Seen]) -> list[Any]:
    """Probabilities of each image; images of one shape go through the networks together."""
    if len(seen) == 1 or seen[0].prepared.ndim != 3:
        return [predictor.prepared(one.prepared) for one in seen]
    return list(predictor.together(torch.stack([one.prepared for one in seen])))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in _ABOUT_THE_FILE}


def _said(error: HilumError, path: Path) -> str:
    """The message without where the upload lies here."""
    return str(error).replace(str(path), "the upload").replace(str(path.parent), "")
