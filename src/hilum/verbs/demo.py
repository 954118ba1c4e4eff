"""`hilum demo`: a phantom study and the whole road over it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from hilum.phantoms.make import make_phantom
from hilum.training.loop import Watch
from hilum.training.run import Run, check_new
from hilum.verbs.predict import Delivered, predict
from hilum.verbs.train import train

logger = logging.getLogger(__name__)


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
    """Make a phantom study in `out`, train on it, predict its new images. Raises RunError where `out` is not empty."""
    out = Path(out)
    check_new(out)
    study = make_phantom(kind, out / "study", seed=seed)
    logger.info("made a phantom %s study in %s", kind, study)
    run = train(study, out / "run", minutes=minutes, watch=watch)
    new = next(
        (folder for folder in (study / "pred", study / "test", study / "new") if folder.is_dir()), study
    )
    return Demonstration(study, run, predict(run.folder, new, out / "results"))
