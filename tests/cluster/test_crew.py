"""The crew without Ray: workers that are lost, cases that are bad, and how much is on its way."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hilum.cluster.crew import CLOSING_S, IN_FLIGHT, MOST_TRIES, Crew
from hilum.cluster.worker import Result
from hilum.errors import HilumError
from hilum.study.study import Case, Source


class LostError(Exception):
    pass


class FakeRay:
    """Answers what was asked for, newest first, and keeps count of what is on its way."""

    def __init__(self):
        self.flying, self.most = [], 0

    def wait(self, references, num_returns):
        self.most = max(self.most, len(references))
        return references[-num_returns:], references[:-num_returns]

    def get(self, reference):
        return reference()


class FakeWorker:
    """Dies at the cases named, as often as they say."""

    def __init__(self, deadly):
        self.deadly, self.dead = deadly, False
        self.predict = self

    def remote(self, case):
        def answer():
            if self.deadly.get(case.name, 0) > 0 or self.dead:
                self.deadly[case.name] = self.deadly.get(case.name, 0) - (not self.dead)
                self.dead = True
                raise LostError(case.name)
            return Result({"case": case.name})

        answer.__hash__ = None
        return answer


def crew_of(deadly, size=2):
    return Crew(FakeRay(), lambda: FakeWorker(deadly), size, (LostError,))


CASES = [Case(f"c{number}", Source(Path(f"c{number}.png"))) for number in range(20)]


def test_every_case_comes_once_and_few_are_on_their_way():
    crew = crew_of({})
    found = dict(crew.results(CASES))
    assert {index: result.summary["case"] for index, result in found.items()} == {
        index: case.name for index, case in enumerate(CASES)
    }
    assert crew.ray.most <= 2 * IN_FLIGHT
    assert crew.lost == 0


def test_a_lost_worker_loses_no_result():
    crew = crew_of({"c3": 1, "c11": 2})
    found = list(crew.results(CASES))
    assert sorted(index for index, _ in found) == list(range(20))
    assert all(result.error is None for _, result in found)
    assert crew.lost == 3


def test_a_case_that_always_kills_its_worker_is_reported_and_the_rest_goes_on():
    crew = crew_of({"c5": 99})
    found = dict(crew.results(CASES))
    assert "lost 4 workers" in found[5].error
    others = [result for index, result in found.items() if index != 5]
    assert sum(result.error is None for result in others) >= len(CASES) - 1 - MOST_TRIES


def test_workers_close_before_they_are_ended():
    closed = []

    class Ray:
        def wait(self, references, num_returns, timeout):
            assert (len(references), timeout) == (num_returns, CLOSING_S)
            closed.extend(references)

    class Worker:
        close = SimpleNamespace(remote=lambda: "closed")

    crew = Crew(Ray(), Worker, 2, (LostError,), workers=[Worker(), Worker()])
    crew.close()
    crew.close()
    assert closed == ["closed", "closed"]


def test_workers_that_never_live_are_an_error():
    crew = crew_of({case.name: 99 for case in CASES})
    with pytest.raises(HilumError, match="workers were lost"):
        list(crew.results(CASES * 10))
