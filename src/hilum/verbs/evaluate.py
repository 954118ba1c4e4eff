"""`hilum evaluate`: the out-of-fold scores of a run again, or its scores on another labelled folder."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hilum import tasks
from hilum.errors import StudyError
from hilum.training.lock import held
from hilum.training.run import open_run
from hilum.verbs.predict import find_cases, predict


def evaluate(
    run: str | Path, folder: str | Path | None = None, out: str | Path | None = None
) -> dict[str, Any]:
    """Scores of a run: out-of-fold without `folder`, else of all folds together on that labelled folder.

    With `folder`, predictions go to `out` (default `RUN/evaluated/NAME`, a second time `NAME-2`). Raises
    RunError where the run is not trained, StudyError where the folder carries no labels of the run's outputs.
    """
    opened = open_run(Path(run))
    if folder is None:
        with held(opened.folder):
            return tasks.get_task(opened.plan.task).evaluate(opened, opened.study)
    cases = find_cases([folder], opened.plan, opened.study.classes)
    labelled = [case for case in cases if case.masks or case.labels or case.marks is not None]
    if not labelled:
        raise StudyError(
            f"{folder}: carries no labels of {', '.join(opened.plan.data.outputs)}; use hilum predict"
        )
    target = Path(out) if out else _next_free(opened.folder / "evaluated" / Path(folder).resolve().name)
    return predict(run, labelled, target).summary


def _next_free(folder: Path) -> Path:
    """The folder, or with the first number behind its name of which there is none yet."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], numbered) if not path.exists())


def evaluate_submission(
    submission: str | Path, solution: str | Path, size: tuple[int, int] = (580, 420)
) -> dict[str, Any]:
    """Score a challenge's submission against its solution; `size` is (width, height) of the images in pixels.

    Mean Dice over images, 1 where truth and prediction are both empty. Raises HilumError where a file
    cannot be read or an image is missing.
    """
    from hilum.exchange.kaggle_rle import score_submission

    return asdict(score_submission(Path(submission), Path(solution), (size[1], size[0])))
