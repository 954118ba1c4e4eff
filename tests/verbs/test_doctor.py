import json

import pytest

import hilum
from hilum.verbs import doctor as room


@pytest.fixture(scope="module")
def found():
    return hilum.doctor()


def test_every_part_gives_its_known_answer(found):
    assert found.passed, [check for check in found.checks if not check.passed]
    assert len(found.checks) == 5


def test_it_tells_what_decides_on_figures(found):
    text = "\n".join(found.lines())
    words = ("processor", "free memory", "free disk", "bfloat16", "graphics card", "torch", "numpy", "ok")
    assert not [word for word in words if word not in text]
    assert json.loads(json.dumps(found.to_json()))["passed"] is True


def test_a_wrong_answer_is_told_beside_the_right_one(monkeypatch):
    def broken():
        raise RuntimeError("no such instruction")

    tests = (("one", "1", lambda: (False, "2")), ("two", "3", broken))
    monkeypatch.setattr(room, "_TESTS", tests)
    bad = hilum.doctor()
    assert not bad.passed
    assert [line for line in bad.lines() if line.startswith("WRONG")] == [
        "WRONG one: 2, known is 1",
        "WRONG two: RuntimeError: no such instruction, known is 3",
    ]
