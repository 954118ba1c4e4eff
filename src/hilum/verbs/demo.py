"""`hilum demo`: a phantom study and the whole road over it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from hilum.image.readers import probe
from hilum.phantoms.make import make_phantom, phantom_kind
from hilum.training.budget import FEWEST_STEPS, TimeTooShortError
from hilum.training.loop import Watch
from hilum.training.run import Run, check_new
from hilum.verbs.evaluate import evaluate_submission
from hilum.verbs.predict import Delivered, predict
from hilum.verbs.train import train

logger = logging.getLogger(__name__)
NEW_SCANS = 2


@dataclass(frozen=True)
class _Pace:
    """How long the demo of a kind takes, and below which time it is made smaller, with how many cases."""

    minutes: float = 1.0
    short: float = 0.75
    cases: int | None = None


_PACES = {"ct": _Pace(minutes=4.0, short=8.0, cases=6)}


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
    minutes: float | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Demonstration:
    """Make a phantom study in `out`, train on it, predict its new images.

    It takes one minute where none are given, four for volumes. Under three quarters of a minute (eight
    minutes for volumes) the images are half as large and two folds are enough, so that each network still
    gets some hundred steps; a machine too slow even for that takes the fewest steps there are. Where a study
    brings no new images, some are made beside it. Raises RunError where `out` is not empty.
    """
    out = Path(out)
    check_new(out)
    pace = _PACES.get(kind, _Pace())
    minutes = pace.minutes if minutes is None else minutes
    short = minutes < pace.short
    size, cases = (_half_size(kind), pace.cases) if short else (None, None)
    study = make_phantom(kind, out / "study", cases, seed=seed, size=size)
    logger.info("made a phantom %s study in %s", kind, study)
    given = (study / "test").is_dir()
    folds = 2 if short and not given else None
    if folds:
        logger.info("%g minutes are short: images of half the size, and two folds", minutes)
    try:
        run = train(study, out / "run", minutes=minutes, folds=folds, watch=watch)
    except TimeTooShortError as error:
        logger.warning("%s; going on with %d steps a fold", error, FEWEST_STEPS)
        run = train(study, out / "run", steps=FEWEST_STEPS, folds=folds, watch=watch)
    new = _new_images(study) or make_phantom(
        kind, out / "new", max(NEW_SCANS, phantom_kind(kind).fewest), seed=seed + 1, size=size
    )
    return Demonstration(study, run, _predicted(run, study, new, out / "results"))


def _predicted(run: Run, study: Path, new: Path, out: Path) -> Delivered:
    """The new images predicted; where the phantom brings a challenge's solution, submitted and scored too."""
    solution = study / "solution.csv"
    if not solution.is_file():
        return predict(run.folder, new, out)
    done = predict(run.folder, new, out, submission="kaggle-rle")
    height, width = probe(next(path for path in sorted(new.iterdir()) if path.is_file())).shape
    score = evaluate_submission(done.summary["submission"], solution, (width, height))
    logger.info("submission.csv: mean Dice %.3f, 1 where both are empty", score["mean"])
    return done


def _new_images(study: Path) -> Path | None:
    return next((folder for folder in (study / "pred", study / "test") if folder.is_dir()), None)


def _half_size(kind: str) -> tuple[int, ...]:
    chosen = phantom_kind(kind)
    return tuple(max(least, size // 2) for size, least in zip(chosen.size, chosen.smallest, strict=True))
