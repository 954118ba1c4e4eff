"""One thread that predicts: requests wait in a bounded queue and go through the networks in batches."""

from __future__ import annotations

import logging
import queue
import shutil
import tempfile
import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from hilum.errors import UNEXPECTED
from hilum.inference.predictor import Predictor
from hilum.service.answers import Answer, RefusedError, Seen, answer_of, predict_together, read_upload
from hilum.service.limits import Limits
from hilum.service.metrics import Metrics
from hilum.training.run import Run

logger = logging.getLogger(__name__)
JOIN_S = 10.0
STOPPING = "the service is stopping"
_FAILED = "the prediction failed; the log of the service says why"


@dataclass(frozen=True, eq=False)
class Job:
    """One upload, in a folder of its own that is removed with the job."""

    path: Path
    future: Future[Answer] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """The folder of the upload and of all that is made of it."""
        return self.path.parent

    def finish(self, answer: Answer | None, error: Exception | None = None) -> None:
        """Hand the answer over, unless nobody waits any more; the folder is removed first."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            if error is not None:
                self.future.set_exception(error)
            elif answer is not None:
                self.future.set_result(answer)
        except InvalidStateError:
            logger.debug("a request was given up before its answer")


class Worker:
    """Predicts jobs in the order in which they came."""

    def __init__(self, run: Run, predictor: Predictor, limits: Limits, metrics: Metrics) -> None:
        self.run, self.predictor, self.limits, self.metrics = run, predictor, limits, metrics
        self.jobs: queue.Queue[Job | None] = queue.Queue(limits.waiting)
        self.thread = threading.Thread(target=self._work, name="hilum-predict", daemon=True)
        self.stopping = threading.Event()
        self.running: list[Job] = []
        self.folders: dict[Path, None] = {}
        metrics.waiting.set_function(self.jobs.qsize)
        for network in predictor.networks:
            # Asked before each tile, so that a large image does not hold up the end of the process.
            network.register_forward_pre_hook(self._go_on)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def stop(self) -> None:
        """End the thread before its next tile; who still waits is told, and no upload stays."""
        self.stopping.set()
        while not self.jobs.empty():
            job = self.jobs.get_nowait()
            if job is not None:
                job.finish(None, _stopping())
        self.jobs.put(None)
        if self.thread.is_alive():
            self.thread.join(JOIN_S)
        for job in tuple(self.running):
            job.finish(None, _stopping())
        for folder in tuple(self.folders):
            shutil.rmtree(folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """A folder for one upload, which is gone at the latest when the service ends."""
        folder = Path(tempfile.mkdtemp(prefix="hilum-upload-"))
        for other in tuple(self.folders):
            if not other.exists():
                self.folders.pop(other, None)
        self.folders[folder] = None
        return folder

    def submit(self, job: Job) -> None:
        """Queue a job. Raises RefusedError 429, its folder removed, where too many wait already."""
        try:
            self.jobs.put_nowait(job)
        except queue.Full:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, f"{self.limits.waiting} requests are waiting; try again soon"
            ) from None

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            batch = [job]
            while len(batch) < self.limits.batch and not self.jobs.empty():
                more = self.jobs.get_nowait()
                if more is None:
                    self.jobs.put(None)
                    break
                batch.append(more)
            self.running = [one for one in batch if self._wanted(one)]
            self._predict(self.running)
            self.running = []

    def _go_on(self, *_: object) -> None:
        """Raise RefusedError 503 where the service is stopping."""
        if self.stopping.is_set():
            raise _stopping()

    def _wanted(self, job: Job) -> bool:
        """Whether somebody still waits for a job; its folder goes otherwise."""
        late = time.monotonic() - job.since > self.limits.seconds
        if late or not job.future.set_running_or_notify_cancel():
            shutil.rmtree(job.folder, ignore_errors=True)
            return False
        return True

    def _predict(self, batch: list[Job]) -> None:
        alike: dict[tuple[int, ...], list[tuple[Job, Seen]]] = {}
        for job in batch:
            try:
                self._go_on()
                seen = read_upload(job.path, self.run, self.limits)
                alike.setdefault(tuple(seen.prepared.shape), []).append((job, seen))
            except RefusedError as error:
                job.finish(None, error)
            except UNEXPECTED:
                self._failed([job])
        for group in alike.values():
            self._answer(group)

    def _answer(self, group: list[tuple[Job, Seen]]) -> None:
        self.metrics.batch.observe(len(group))
        try:
            found = predict_together(self.predictor, [seen for _, seen in group])
        except RefusedError as error:
            for job, _ in group:
                job.finish(None, error)
            return
        except UNEXPECTED:
            self._failed([job for job, _ in group])
            return
        for (job, seen), probability in zip(group, found, strict=True):
            try:
                self._go_on()
                job.finish(answer_of(seen, probability, self.run, job.folder / "out"))
            except RefusedError as error:
                job.finish(None, error)
            except UNEXPECTED:
                self._failed([job])

    def _failed(self, jobs: list[Job]) -> None:
        logger.exception("a prediction failed")
        for job in jobs:
            job.finish(None, RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, _FAILED))


def _stopping() -> RefusedError:
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
