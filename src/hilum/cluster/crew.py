"""Workers that share a list of cases: a few in flight each, those of a lost worker given to others."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hilum.cluster.worker import Result
from hilum.errors import HilumError
from hilum.study.study import Case

logger = logging.getLogger(__name__)
IN_FLIGHT = 2
MOST_TRIES = 4
MOST_LOST = 20
CLOSING_S = 10.0


@dataclass
class Crew:
    """`hire` makes a worker; `lost` counts those that went, `failures` are the errors that say so."""

    ray: Any
    hire: Callable[[], Any]
    size: int
    failures: tuple[type[Exception], ...]
    workers: list[Any] = field(default_factory=list)
    lost: int = 0

    def results(self, cases: Sequence[Case]) -> Iterator[tuple[int, Result]]:
        """The result of each case as it comes, with its place in the list.

        No more than two cases a worker are on their way at a time, so that memory does not grow with the
        cohort. A case whose worker is lost is tried again, four times at most. Raises HilumError where
        workers cannot be kept alive at all.
        """
        waiting, tries = deque(range(len(cases))), Counter[int]()
        flying: dict[Any, tuple[int, Any]] = {}
        self.workers = [self.hire() for _ in range(min(self.size, len(cases)))]
        while waiting or flying:
            self._send(cases, waiting, flying)
            done, _ = self.ray.wait(list(flying), num_returns=1)
            for reference in done:
                index, worker = flying.pop(reference)
                try:
                    yield index, self.ray.get(reference)
                except self.failures as error:
                    self._replace(worker, error)
                    tries[index] += 1
                    if tries[index] < MOST_TRIES:
                        waiting.appendleft(index)
                    else:
                        text = f"lost {MOST_TRIES} workers; is it too large for their memory?"
                        yield index, Result(error=f"{cases[index].image}: {text}")

    def close(self) -> None:
        """Let the workers that live remove what they hold on disk; a busy one is not waited for long."""
        closing = [worker.close.remote() for worker in self.workers]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=CLOSING_S)
        self.workers = []

    def _send(self, cases: Sequence[Case], waiting: deque[int], flying: dict[Any, tuple[int, Any]]) -> None:
        """Give each worker work, those with the least first."""
        while waiting:
            busy = Counter(worker for _, worker in flying.values())
            worker = min(self.workers, key=lambda one: busy[one])
            if busy[worker] >= IN_FLIGHT:
                return
            index = waiting.popleft()
            flying[worker.predict.remote(cases[index])] = (index, worker)

    def _replace(self, worker: Any, error: Exception) -> None:
        """Put a new worker in the place of a lost one, once, however many cases it had."""
        if worker not in self.workers:
            return
        self.lost += 1
        if self.lost > MOST_LOST + self.size:
            raise HilumError(
                f"{self.lost} workers were lost, the last by: {' '.join(str(error).split())[:300]}; look at "
                "their memory, and whether Hilum is installed there"
            )
        logger.warning("a worker was lost; its cases go to others")
        self.workers[self.workers.index(worker)] = self.hire()
