from dataclasses import replace

import pytest
import torch

from hilum.planning.plan import TrainingPlan
from hilum.training.batches import draw_batch
from hilum.training.samples import labelled_sample, masked_sample
from hilum.training.stages import coarser_plan, coarser_sample, factor_at


@pytest.mark.parametrize("steps", [1, 3, 7, 100])
def test_stages_follow_each_other_and_the_last_is_reached(steps):
    plan = TrainingPlan(stages=[4, 2, 1])
    factors = [factor_at(plan, step, steps) for step in range(steps)]
    assert factors == sorted(factors, reverse=True)
    assert set(factors) == ({4, 2, 1} if steps >= 3 else {4})
    assert factor_at(plan, steps, steps) == 1
    assert steps < 100 or all(factors.count(factor) in (33, 34) for factor in (4, 2, 1))


def test_without_stages_nothing_is_shrunk(disc_sample):
    sample, plan = disc_sample(), TrainingPlan()
    assert factor_at(plan, 0, 10) == 1
    assert coarser_sample(sample, 1, 2) is sample
    assert coarser_plan(plan, 1) is plan


def test_a_coarser_sample_is_the_mean_over_blocks_with_its_centres(disc_sample):
    sample = disc_sample((41, 60), (20, 30), 9)
    small = coarser_sample(sample, 2, 2)
    assert small.stack.shape == (2, 21, 30)
    assert torch.allclose(small.stack[0, 3, 4], sample.stack[0, 6:8, 8:10].mean())
    assert torch.allclose(small.stack[:, 20, 4], sample.stack[:, 40, 8:10].mean(1))
    assert all(small.stack[1, y, x] > 0 for y, x in small.centres[0].tolist())
    assert abs(small.centres[0].mean(0) - [10, 15]).max() < 1
    assert (small.name, small.channels, small.weight) == (sample.name, sample.channels, sample.weight)


def test_slices_of_a_volume_are_shrunk_in_plane_only():
    mask = torch.zeros(1, 5, 20, 24)
    mask[:, 3, 4:10, 6:12] = 1
    sample = replace(masked_sample("scan", torch.rand(1, 5, 20, 24), mask, torch.ones(1)), neighbours=1)
    flat, block = coarser_sample(sample, 2, 2), coarser_sample(sample, 2, 3)
    assert (flat.shape, block.shape, flat.neighbours) == ((5, 10, 12), (3, 10, 12), 1)
    assert {z for z, _, _ in flat.centres[0].tolist()} == {3}
    assert {z for z, _, _ in block.centres[0].tolist()} == {1}


def test_a_coarse_stage_draws_more_and_smaller_patches_of_the_same_field(disc_sample):
    """A patch of the disc holds the same share of it, whatever the stage."""
    plan = TrainingPlan(patch=[48, 48], batch=2, whole=True, rare_share=0.0)
    shares = []
    for factor in (1, 2):
        coarse = coarser_plan(plan, factor)
        batch = draw_batch([coarser_sample(disc_sample(), factor, 2)], coarse, 0, 0)
        assert batch.x.shape == (2 * factor, 1, 48 // factor, 48 // factor)
        shares.append(float(batch.y.mean()))
    assert shares[1] == pytest.approx(shares[0], rel=0.15)


def test_whole_images_with_a_label_keep_it():
    sample = labelled_sample("one", torch.rand(3, 16, 16), torch.ones(2), torch.ones(2))
    small = coarser_sample(sample, 4, 2)
    assert small.shape == (4, 4)
    assert small.label is sample.label
