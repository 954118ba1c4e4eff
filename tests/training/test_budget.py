import pytest

from hilum.errors import TrainingError
from hilum.training import budget
from hilum.training.budget import (
    FEWEST_STEPS,
    Steps,
    TimeTooShortError,
    count_steps,
    time_after,
    time_steps,
    with_less_time,
    with_steps,
)


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    """Every step takes a tenth of a second."""
    monkeypatch.setattr(budget, "time_steps", lambda trainer, seconds, clock: 0.1)


class Made:
    """What timing needs of a trainer."""

    samples = (None,) * 20
    held_back = ()


def counted(plan, remaining_s, folds=1):
    return count_steps(plan, Made, remaining_s, folds)


def test_the_time_left_becomes_steps(tiny_plan):
    plan = tiny_plan(minutes=1.0)
    assert counted(plan, 60.0).count == pytest.approx(600 * budget.MARGIN, rel=0.02)
    assert counted(plan, 60.0, folds=4).count == pytest.approx(150 * budget.MARGIN, rel=0.02)
    assert "measured" in counted(plan, 60.0).reason


def test_steps_asked_for_are_not_timed(tiny_plan, monkeypatch):
    monkeypatch.setattr(budget, "time_steps", None)
    assert counted(tiny_plan(steps=33), 0.0).count == 33


def test_processor_time_is_by_fold_and_knows_no_wall(tiny_plan):
    found = counted(tiny_plan(cpu_s=30.0), -100.0, folds=5)
    assert found.count == pytest.approx(300 * budget.CPU_MARGIN - 10 * budget.FIRST_S, abs=1)
    assert "CPU" in found.reason


@pytest.mark.parametrize(("cpu_s", "expected"), [(20.0, 3.0), (300.0, 6.0), (6000.0, 12.0)])
def test_long_trainings_are_timed_for_longer(tiny_plan, monkeypatch, cpu_s, expected):
    asked = []
    monkeypatch.setattr(budget, "time_steps", lambda trainer, seconds, clock: asked.append(seconds) or 0.1)
    counted(tiny_plan(cpu_s=cpu_s), 0.0)
    counted(tiny_plan(minutes=2.0), 2 * cpu_s, folds=2)
    assert asked == pytest.approx([expected, expected])


def test_a_budget_of_processor_time_is_spent_but_for_a_twentieth(tiny_plan):
    """At a tenth of a second a step; short budgets keep more back, for their first steps."""
    spent = {cpu_s: 0.1 * counted(tiny_plan(cpu_s=cpu_s), 0.0).count / cpu_s for cpu_s in (20.0, 60.0, 600.0)}
    assert 0.93 < spent[20.0] < spent[60.0] < spent[600.0] < 0.97
    assert spent[600.0] > 0.965


def test_too_little_time_says_how_much_is_needed(tiny_plan):
    with pytest.raises(TimeTooShortError, match="--minutes") as caught:
        counted(tiny_plan(minutes=0.01), 0.1 * (FEWEST_STEPS - 2))
    assert "--folds" in str(caught.value)
    assert isinstance(caught.value, TrainingError)
    with pytest.raises(TimeTooShortError, match="only 0 steps"):
        counted(tiny_plan(minutes=0.01), -50.0)


def test_the_count_goes_into_the_plan_so_that_a_rerun_is_exact(tiny_plan):
    plan = tiny_plan(minutes=1.0)
    filled = with_steps(plan, Steps(77, "measured so"))
    assert filled.training.steps == 77
    assert filled.reasons["training.steps"] == "measured so"
    assert plan.training.steps is None
    assert counted(filled, 1e9).count == 77


def test_time_is_set_aside_for_what_follows(tiny_plan):
    plan = tiny_plan(cpu_s=100.0)
    assert with_less_time(plan, 0.25).training.cpu_s == pytest.approx(75)
    assert with_less_time(plan, 0.0) is plan
    assert time_after(plan, Steps(10, "timed", 0.1), 0.0, 5, 0.25) == pytest.approx(25)
    assert time_after(tiny_plan(), Steps(10, "timed", 0.1), 500.0, 5, 0.25) == pytest.approx(25)
    assert time_after(tiny_plan(), Steps(10, "given"), 500.0, 5, 0.25) is None
    assert time_after(plan, Steps(10, "timed", 0.1), 0.0, 5, 0.0) is None


def test_steps_are_timed_on_the_clock_that_is_asked_for(trainer):
    ticks = iter(range(1000))
    assert time_steps(trainer(), seconds=0.0, clock=lambda: next(ticks)) == pytest.approx(1 / 8)


def test_every_stage_is_timed_and_counts_by_its_part(trainer, monkeypatch):
    """A clock that only runs on in coarse steps."""
    made, now = trainer(stages=[2, 2, 1]), [0.0]
    real = made.step

    def step(at, steps):
        now[0] += 3.0 if made.plan.training.stages[at * 3 // steps] == 2 else 0.0
        return real(at, steps)

    monkeypatch.setattr(made, "step", step)
    assert time_steps(made, seconds=0.0, clock=lambda: now[0]) == pytest.approx(2.0)


def test_epochs_are_of_whole_batches_however_many_draw_them(tiny_plan):
    """Each of several processes draws a part of a batch; an epoch is counted by the whole of it."""
    plan = tiny_plan(epochs=3.0, batch=10)
    plan.training.minutes = None
    assert counted(plan, 0.0) == Steps(6, "3 epochs of 2 steps")


def test_what_is_said_of_too_little_time_helps(tiny_plan):
    """A step costs its patches, whatever the resolution; CPU seconds are not minutes."""
    by_cpu = tiny_plan(cpu_s=1.0, batch=6)
    with pytest.raises(TimeTooShortError, match=r"--set training\.cpu_s=3\).*training\.batch=3") as caught:
        counted(by_cpu, 0.0)
    assert "--minutes" not in str(caught.value)
    assert "downsample" not in str(caught.value)
    by_cpu.training.cpu_s = 3.0
    assert counted(by_cpu, 0.0).count >= FEWEST_STEPS
    sized = tiny_plan(minutes=0.01, patch=[192, 150])
    sized.data.size = [192, 150]
    with pytest.raises(TimeTooShortError, match=r"data\.size=\[96,64\] --set training\.patch=\[96,64\]"):
        counted(sized, 0.0)
