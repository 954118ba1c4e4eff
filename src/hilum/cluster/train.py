"""`hilum train --cluster`: the folds of a run side by side on the workers of a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.cluster.session import LOCAL, session, worker_count
from hilum.errors import TrainingError
from hilum.study.study import Study
from hilum.training.run import Run
from hilum.verbs.train import train as train_here
from hilum.verbs.train import train_one_fold

logger = logging.getLogger(__name__)
RETRIES = 2


def train(
    folder: str | Path,
    out: str | Path,
    *,
    cluster: str = LOCAL,
    workers: int | None = None,
    cpus: int = 1,
    **wishes: Any,
) -> Run:
    """Train and validate as `hilum.train` does, folds side by side; folder and `out` must be shared.

    A fold whose worker is lost goes on elsewhere from its last state. Raises TrainingError where a fold
    cannot be finished; what is done is kept, for --resume.
    """
    place = Path(folder).resolve()
    with session(cluster, workers) as ray:
        device, init = str(wishes.get("device", "auto")), wishes.get("init")
        start = str(Path(init).resolve()) if init else None
        settings = list(wishes.pop("settings", ()))
        threads = None if any(each.strip().startswith("training.threads") for each in settings) else cpus
        if threads and not (wishes.get("resume") and (Path(out) / "manifest.json").is_file()):
            settings.append(f"training.threads={cpus}")  # steps are timed here as each worker takes them
        count = worker_count(ray, workers, device) // (1 if device == "cuda" else cpus) or 1

        def side_by_side(run: Run, study: Study, folds: Sequence[int]) -> None:
            _trained(ray, run, {index: (str(place), index, threads, start) for index in folds}, cpus, device)

        return train_here(
            place,
            Path(out).resolve(),
            **wishes,
            settings=settings,
            elsewhere=side_by_side,
            at_once=count,
        )


def _trained(ray: Any, run: Run, folds: Mapping[int, tuple[Any, ...]], cpus: int, device: str) -> None:
    """Train folds on workers and wait for all of them; what each is trained with stands by its number."""
    gpus = 1 if device == "cuda" else 0
    remote = ray.remote(train_one_fold).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
    flying = {remote.remote(str(run.folder), *told): index for index, told in folds.items()}
    while flying:
        (done,), _ = ray.wait(list(flying), num_returns=1)
        index = flying.pop(done)
        try:
            ray.get(done)
        except ray.exceptions.RayError as error:
            for other in flying:
                ray.cancel(other)
            reason = " ".join(str(error).split())[-300:]
            raise TrainingError(
                f"fold {index} failed on its worker ({reason}); go on with --resume"
            ) from error
        logger.info("fold %d is done", index)
