"""Turns the cases of a study into samples, decoding every image once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hilum import tasks
from hilum.errors import HilumError, TrainingError
from hilum.planning.device import free_memory_bytes
from hilum.planning.plan import Plan
from hilum.study.masks import read_case_image
from hilum.study.study import Case
from hilum.training.cache import Samples, digest_of, read_cache, size_of, worth_keeping, write_cache
from hilum.training.samples import Sample
from hilum.training.space import smaller_images

logger = logging.getLogger(__name__)
MEMORY_SHARE = 0.7
WRITTEN_BYTES_S = 2e8


def gather_samples(
    cases: Sequence[Case], plan: Plan, told: Callable[[int, int], None] | None = None
) -> dict[str, tuple[Sample, ...]]:
    """Samples of each case by its name. Raises TrainingError where they will not fit into memory."""
    task = tasks.get_task(plan.task)
    limit = free_memory_bytes() * MEMORY_SHARE
    gathered: dict[str, tuple[Sample, ...]] = {}
    taken = 0
    for index, case in enumerate(cases):
        gathered[case.name] = tuple(task.samples(case, read_case_image(case), plan))
        taken += sum(sample.stack.numel() * sample.stack.element_size() for sample in gathered[case.name])
        expected = taken / (index + 1) * len(cases)
        if taken > limit:
            raise TrainingError(
                f"{len(cases)} images need about {expected / 1e9:.1f} GB at this resolution, "
                f"{limit / 1e9:.1f} GB are free; "
                f"shrink them more ({smaller_images(plan)})"
            )
        if told:
            told(index + 1, len(cases))
    return gathered


def gather_kept(cases: Sequence[Case], plan: Plan, folder: Path) -> dict[str, tuple[Sample, ...]]:
    """The same from the cache in `folder` where it fits inputs and plan; kept there for the next time."""
    digest = digest_of(cases, plan)
    found = read_cache(folder, digest)
    if found is not None:
        return found
    started = time.perf_counter()
    gathered = gather_samples(cases, plan)
    keep_samples(gathered, digest, folder, time.perf_counter() - started)
    return gathered


def keeping_s(gathered: Samples) -> float:
    """Seconds to set aside for keeping samples."""
    return size_of(gathered) / WRITTEN_BYTES_S


def keep_samples(gathered: Samples, digest: str, folder: Path, decoding_s: float) -> None:
    """Write a cache where it pays, and say why."""
    size = size_of(gathered)
    why = worth_keeping(len(gathered), decoding_s, size, folder)
    if why:
        try:
            write_cache(folder, gathered, digest)
        except HilumError as error:
            logger.warning("prepared images are not kept: %s", error)
            return
        logger.info("%.0f MB of prepared images kept in %s: %s", size / 1e6, folder, why)
