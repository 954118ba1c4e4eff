"""`hilum predict --cluster`: a cohort over many workers, the files as those of the plain loop."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum import tasks
from hilum.cluster.crew import Crew
from hilum.cluster.session import LOCAL, session, worker_count
from hilum.cluster.worker import CaseWorker, Result
from hilum.errors import StudyError
from hilum.exchange import bundle
from hilum.files import write_bytes
from hilum.inference.engines import ENGINES
from hilum.planning.device import find_device
from hilum.study.names import common_folder
from hilum.study.study import Case, Source
from hilum.tasks.task import Delivery
from hilum.training.run import Run, check_new
from hilum.verbs.predict import Delivered, Told, bare, find_cases, tell_magnification

logger = logging.getLogger(__name__)


def predict(
    run: str | Path,
    images: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    cluster: str = LOCAL,
    workers: int | None = None,
    cpus: int = 1,
    probabilities: bool = False,
    overlays: bool = True,
    device: str = "auto",
    skip_bad: bool = False,
    told: Told | None = None,
) -> Delivered:
    """Predict images over the workers of a Ray cluster: "local" or an address.

    Each worker holds the run; images are read there, so their paths must lead to them on every machine.
    Results are written here as they come. A worker that is lost loses no result. Bad images are left out
    and reported; unless `skip_bad` they are an error, raised once all others are written. Labels that lie
    with the images are not scored. Raises RunError, StudyError and HilumError as `hilum.predict` does.
    """
    opened, out = bundle.opened(Path(run)), Path(out)
    check_new(out)
    cases = _plain_cases([images] if isinstance(images, str | Path) else images, opened)
    with session(cluster, workers) as ray:
        kind = find_device(device).kind if cluster == LOCAL and device not in ENGINES else device
        root = common_folder(case.image.path for case in cases)
        delivery = Delivery(out, probabilities, overlays, root=root)
        crew = _crew(ray, opened, kind, worker_count(ray, workers, kind), cpus, delivery)
        try:
            found = _collected(crew, cases, out, told)
        finally:
            crew.close()
    left_out = tuple(one.error for one in found if one.error is not None)
    summary = tasks.get_task(opened.plan.task).write_tables(
        opened, [one.summary for one in found if one.error is None], out
    )
    if left_out and not skip_bad:
        raise StudyError(
            f"{len(left_out)} of {len(cases)} images could not be predicted, all others are in {out}: "
            f"{'; '.join(left_out[:3])}"
        )
    return Delivered(out, len(cases) - len(left_out), left_out, {**summary, "lost_workers": crew.lost})


def _plain_cases(images: Sequence[str | Path], run: Run) -> list[Case]:
    """The cases with whole paths and without labels."""
    found = find_cases(images, run.plan)
    tell_magnification(found, run.plan)
    if any(case.masks or case.labels or case.marks for case in found):
        logger.warning("labels are not scored on a cluster; for scores: hilum evaluate RUN FOLDER")
    return [
        replace(bare(case), image=_whole(case.image), channels=tuple(map(_whole, case.channels)))
        for case in found
    ]


def _whole(source: Source) -> Source:
    return replace(source, path=source.path.resolve())


def packed(run: Run) -> bytes:
    """A run as the bytes of its bundle."""
    with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
        return bundle.export(run, Path(folder) / "run.zip").path.read_bytes()


def _crew(ray: Any, run: Run, device: str, size: int, cpus: int, delivery: Delivery) -> Crew:
    content = ray.put(packed(run))
    gpus = 1 if device == "cuda" else 0
    remote = ray.remote(CaseWorker).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
    errors = ray.exceptions
    lost = (errors.RayActorError, errors.ObjectLostError, errors.WorkerCrashedError, errors.OutOfMemoryError)
    return Crew(ray, lambda: remote.remote(content, device, cpus, delivery), size, lost)


def _collected(crew: Crew, cases: Sequence[Case], out: Path, told: Told | None) -> list[Result]:
    """Write files as they come; the results in the order of the cases, without their files."""
    found: list[Result] = [Result(error="never came")] * len(cases)
    for number, (index, result) in enumerate(crew.results(cases), start=1):
        for name, content in result.files.items():
            write_bytes(out / name, content)
        if result.error is not None:
            logger.warning("left out: %s", result.error)
        found[index] = replace(result, files={})
        if told:
            told(number, len(cases))
    return found
