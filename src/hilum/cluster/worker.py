"""What holds a model on a worker: one case in, its rows and its files out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from hilum import tasks
from hilum.errors import UNEXPECTED, HilumError
from hilum.exchange.bundle import unpack
from hilum.study.study import Case
from hilum.tasks.task import Delivery
from hilum.training.run import open_run
from hilum.verbs.huge import Blocks, forget
from hilum.verbs.predict import load_predictor, predict_one

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What became of one case: rows and files by their relative path, or why there are none."""

    summary: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    error: str | None = None


class CaseWorker:
    """Holds the networks of a run, unpacked once, and predicts one case after the other."""

    def __init__(self, bundle: bytes, device: str, threads: int, delivery: Delivery) -> None:
        torch.set_num_threads(threads)
        self.folder = tempfile.TemporaryDirectory(prefix="hilum-worker-")
        place = Path(self.folder.name)
        (place / "run.zip").write_bytes(bundle)
        unpack(place / "run.zip", place / "run")
        self.run = open_run(place / "run")
        self.predictor = load_predictor(self.run, device)
        self.delivery = delivery

    def close(self) -> None:
        """Remove the unpacked run: a worker's process is ended by others, and then removes nothing."""
        self.folder.cleanup()

    def predict(self, case: Case) -> Result:
        """Predict one case into a folder of its own and hand all files back."""
        try:
            with tempfile.TemporaryDirectory(prefix="hilum-case-") as folder:
                summary = self._delivered(case, Path(folder))
                return Result(summary, _files(Path(folder)))
        except HilumError as error:
            return Result(error=str(error))
        except UNEXPECTED as error:
            logger.exception("%s", case.name)
            return Result(error=f"{case.image}: {type(error).__name__}: {error}")

    def _delivered(self, case: Case, out: Path) -> Mapping[str, Any]:
        task = tasks.get_task(self.run.plan.task)
        predicted = predict_one(case, self.predictor, task, Blocks(self.run, out, skip_glass=True))
        summary = task.deliver(self.run, [predicted], replace(self.delivery, out=out, tables=False))
        forget(out)
        return summary


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
