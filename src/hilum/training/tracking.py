"""`--track`: the history of a training told to TensorBoard or MLflow as it comes. CSV is written always."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.errors import HilumError, PlanError, needed

if TYPE_CHECKING:
    from hilum.training.loop import Progress, Watch

TRACKERS = ("tensorboard", "mlflow")
Told = Callable[[int, str, float, int], None]


def tracked(watch: Watch | None, name: str | None, run: Path) -> Watch | None:
    """A watch that also tells a tracker by name; the same watch where no tracker is asked for.

    TensorBoard's files go to `tracking/` of the run, MLflow's where its own settings say, by default beside.
    Raises PlanError for an unknown name, HilumError where the package is not installed.
    """
    if name is None:
        return watch
    if name not in TRACKERS:
        raise PlanError(f"--track {name}: choose one of {', '.join(TRACKERS)}")
    tell = _tensorboard(run) if name == "tensorboard" else _mlflow(run)

    def both(progress: Progress) -> None:
        if watch:
            watch(progress)
        for key, value in progress.values.items():
            if key != "step" and math.isfinite(value):
                tell(progress.fold, key, float(value), progress.step)

    return both


def _tensorboard(run: Path) -> Told:
    needed("tensorboard", "track")
    from torch.utils.tensorboard import SummaryWriter

    writers: dict[int, SummaryWriter] = {}

    def tell(fold: int, key: str, value: float, step: int) -> None:
        if fold not in writers:
            writers[fold] = SummaryWriter(str(run / "tracking" / f"fold-{fold}"), flush_secs=5)
        writers[fold].add_scalar(key, value, step)
        writers[fold].flush()

    return tell


def _mlflow(run: Path) -> Told:
    mlflow = needed("mlflow", "mlflow")
    try:
        mlflow.set_experiment("hilum")
    except (OSError, mlflow.exceptions.MlflowException) as error:
        where = mlflow.get_tracking_uri()
        raise HilumError(
            f"--track mlflow: {where} cannot be written to ({str(error).strip().splitlines()[0]}); set "
            "MLFLOW_TRACKING_URI to the address of a server, or leave --track out"
        ) from error
    opened: list[str] = []

    def tell(fold: int, key: str, value: float, step: int) -> None:
        if not opened:
            opened.append(mlflow.start_run(run_name=run.resolve().name).info.run_id)
        mlflow.log_metric(f"fold_{fold}_{key}", value, step=step, run_id=opened[0])

    return tell
