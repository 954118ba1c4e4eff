"""`hilum demo`: a phantom study and the whole road over it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from hilum.phantoms.make import make_phantom, phantom_kind
from hilum.training.loop import Watch
from hilum.training.run import Run, check_new
from hilum.verbs.predict import Delivered, predict
from hilum.verbs.train import train

logger = logging.getLogger(__name__)
SHORT_MINUTES = 0.75


@dataclass(frozen=True)
class Demonstration:
    """What the demo left: the phantom study, the run, the predictions of its unlabelled images."""

    study: Path
    run: Run
    predictions: Delivered


def demo(
    out: str | Path = "demo",
    *,
    kind: str = "histology",
    minutes: float = 1.0,
    seed: int = 0,
    watch: Watch | None = None,
) -> Demonstration:
    """Make a phantom study in `out`, train on it, predict its new images.

    Under three quarters of a minute the images are half as large and two folds are enough, so that each
    network still gets some hundred steps. Raises RunError where `out` is not empty.
    """
    out = Path(out)
    check_new(out)
    short = minutes < SHORT_MINUTES
    study = make_phantom(kind, out / "study", seed=seed, size=_half_size(kind) if short else None)
    logger.info("made a phantom %s study in %s", kind, study)
    given = (study / "test").is_dir()
    folds = 2 if short and not given else None
    if folds:
        logger.info("%g minutes are short: images of half the size, and two folds", minutes)
    run = train(study, out / "run", minutes=minutes, folds=folds, watch=watch)
    new = next(
        (folder for folder in (study / "pred", study / "test", study / "new") if folder.is_dir()), study
    )
    return Demonstration(study, run, predict(run.folder, new, out / "results"))


def _half_size(kind: str) -> tuple[int, ...]:
    chosen = phantom_kind(kind)
    return tuple(max(least, size // 2) for size, least in zip(chosen.size, chosen.smallest, strict=True))
