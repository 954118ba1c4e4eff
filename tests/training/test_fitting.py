import pytest

from hilum.errors import PlanError, TrainingError
from hilum.training.fitting import SHARE, fitted_to_memory, step_bytes
from hilum.training.memory import out_of_memory


def test_a_plan_that_fits_stays(tiny_plan):
    plan = tiny_plan(batch=8)
    assert fitted_to_memory(plan, 10**9) is plan


def test_a_plan_that_does_not_fit_gets_a_smaller_batch_with_its_reason(tiny_plan):
    plan = tiny_plan(batch=64, patch=[64, 64])
    weights, sample = step_bytes(plan)
    free = int((weights + 10.5 * sample) / SHARE)
    fitted = fitted_to_memory(plan, free)
    assert fitted.training.batch == 10
    assert "64 would not fit" in fitted.reasons["training.batch"]
    assert plan.training.batch == 64


def test_a_plan_for_which_no_batch_is_small_enough_is_refused(tiny_plan):
    with pytest.raises(TrainingError, match=r"needs about .* are free; set a smaller"):
        fitted_to_memory(tiny_plan(patch=[4096, 4096]), 10**7)
    with pytest.raises(TrainingError):
        fitted_to_memory(tiny_plan(patch=[2**20, 2**20]), 10**10)


def test_a_sample_takes_more_the_larger_it_is_and_the_batch_does_not_matter(tiny_plan):
    small, large = (step_bytes(tiny_plan(patch=[side, side], batch=3))[1] for side in (32, 64))
    assert large == 4 * small
    assert step_bytes(tiny_plan(batch=50)) == step_bytes(tiny_plan(batch=1))


def test_a_patch_that_the_network_does_not_take_is_a_plan_error(tiny_plan):
    with pytest.raises(PlanError):
        step_bytes(tiny_plan(patch=[33, 32]))


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_failures(error, is_so):
    assert out_of_memory(error) is is_so


def test_a_sample_of_a_committee_goes_through_one_member(tiny_plan):
    alone, four = tiny_plan(batch=8), tiny_plan(batch=8)
    four.model.members = 4
    assert step_bytes(four)[1] == step_bytes(alone)[1]
    assert step_bytes(four)[0] > 3 * step_bytes(alone)[0]


def test_the_patches_of_every_stage_are_tried(tiny_plan):
    plan = tiny_plan(patch=[40, 40])
    weights = step_bytes(plan)
    plan.training.stages = [2, 1]
    assert step_bytes(plan) == weights
    plan.training.stages = [8, 1]
    with pytest.raises(PlanError, match=r"training\.stages"):
        step_bytes(plan)


def test_each_process_has_its_own_memory(tiny_plan):
    plan = tiny_plan(batch=64, patch=[64, 64])
    weights, sample = step_bytes(plan)
    free = int((weights + 10.5 * sample) / SHARE)
    assert fitted_to_memory(plan, free, 4).training.batch == 40
    assert fitted_to_memory(plan, free, 7) is plan
