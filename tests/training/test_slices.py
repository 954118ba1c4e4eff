from dataclasses import replace

import numpy as np
import pytest
import torch

from hilum.planning.plan import TrainingPlan
from hilum.training.batches import draw_batch
from hilum.training.samples import labelled_sample, masked_sample
from hilum.training.slices import all_slices, slabs, slice_of
from hilum.training.tiling import cut_samples


def volume(depth=6, height=16, width=20, channels=1):
    """Every voxel of channel c in slice z is 100 c + z; the target is a box in slices 2 and 3."""
    image = torch.arange(depth).float()[None, :, None, None].expand(channels, depth, height, width).clone()
    image += 100 * torch.arange(channels)[:, None, None, None]
    mask = torch.zeros(1, depth, height, width)
    mask[0, 2:4, 4:8, 4:8] = 1
    return image, mask


def sample(neighbours=0, **shape):
    image, mask = volume(**shape)
    return replace(masked_sample("v", image, mask, torch.ones(1)), neighbours=neighbours)


def test_a_slab_is_the_hand_made_stack():
    image, _ = volume(depth=5)
    found = slabs(image, [0, 2, 4], 2)
    expected = [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4], [2, 3, 4, 4, 4]]
    assert found[:, :, 0, 0].tolist() == expected
    assert found.shape == (3, 5, 16, 20)


def test_channels_of_one_slice_stay_together():
    image, _ = volume(depth=4, channels=2)
    assert slabs(image, [1], 1)[0, :, 3, 3].tolist() == [0, 100, 1, 101, 2, 102]


def test_without_neighbours_a_slab_is_the_slice():
    image, _ = volume()
    assert torch.equal(slabs(image, [3], 0)[0], image[:, 3])


def test_a_slice_carries_its_own_mask_and_its_neighbours():
    whole = sample(neighbours=1)
    one = slice_of(whole, 2)
    assert one.channels == 3
    assert one.shape == (16, 20)
    assert one.stack[:3, 0, 0].tolist() == [1, 2, 3]
    assert torch.equal(one.stack[3], whole.stack[1, 2])


def test_upside_down_mirrors_the_neighbours_alone():
    one = slice_of(sample(neighbours=2), 1, upside_down=True)
    assert one.stack[:5, 0, 0].tolist() == [3, 2, 1, 0, 0]
    assert torch.equal(one.stack[5], slice_of(sample(neighbours=2), 1).stack[5])


def test_slices_with_too_little_target_are_left_out():
    names = [one.name for one in all_slices([sample()], min_share=1e-6)]
    assert names == ["v z2", "v z3"]
    assert len(all_slices([sample()])) == 6


def test_images_stay_as_they_are():
    flat = masked_sample("flat", torch.zeros(1, 8, 8), torch.zeros(1, 8, 8), torch.ones(1))
    assert all_slices([flat], min_share=0.5) == [flat]


def test_whole_slices_are_what_is_trained_on(tiny_plan):
    plan = tiny_plan(whole=True, min_share=1e-6)
    assert [one.shape for one in cut_samples([sample()], plan)] == [(16, 20), (16, 20)]
    plan.data.dims = 3
    assert [one.shape for one in cut_samples([sample()], plan)] == [(6, 16, 20)]


@pytest.mark.parametrize("rare_share", [0.0, 1.0])
def test_a_batch_of_flat_patches_holds_one_slice_with_its_neighbours_each(rare_share):
    plan = TrainingPlan(patch=[8, 8], batch=16, rare_share=rare_share)
    batch = draw_batch([sample(neighbours=1, height=40, width=40)], plan, 0, 0)
    assert batch.x.shape == (16, 3, 8, 8)
    assert batch.y.shape == (16, 1, 8, 8)
    low, middle, high = batch.x[:, :, 4, 4].round().unbind(1)
    assert torch.equal(low, (middle - 1).clamp(min=0))
    assert torch.equal(high, (middle + 1).clamp(max=5))
    if rare_share:
        assert set(middle.tolist()) <= {2.0, 3.0}
        assert (batch.y.flatten(1).sum(1) > 0).all()


def test_turning_upside_down_is_drawn_where_it_is_allowed():
    plan = TrainingPlan(patch=[8, 8], batch=32, rare_share=1.0)
    plan.augmentation.flip = ["z"]
    batch = draw_batch([sample(neighbours=1)], plan, 0, 0)
    rising = (batch.x[:, 2, 4, 4] > batch.x[:, 0, 4, 4]).tolist()
    assert 0 < sum(rising) < 32


def test_blocks_are_cut_from_the_same_sample():
    plan = TrainingPlan(patch=[4, 8, 8], batch=3, rare_share=0.5)
    batch = draw_batch([sample()], plan, 0, 0)
    assert batch.x.shape == (3, 1, 4, 8, 8)


def test_further_centres_are_drawn_as_often_as_targets():
    one = sample(height=64, width=64)
    both = replace(one, centres=(np.array([[2, 6, 6]], np.int32), np.array([[5, 40, 40]], np.int32)))
    plan = TrainingPlan(patch=[4, 4], batch=200, rare_share=1.0)
    planes = draw_batch([both], plan, 0, 0).x[:, 0, 2, 2].round()
    assert set(planes.tolist()) == {2.0, 5.0}
    assert 70 < int((planes == 2).sum()) < 130


def test_a_volume_with_a_label_is_learnt_from_all_its_slices():
    image, _ = volume(depth=40, height=8, width=8)
    labelled = replace(labelled_sample("v", image, torch.ones(1), torch.ones(1)), neighbours=1)
    plan = TrainingPlan(patch=[8, 8], batch=400, whole=True, rare_share=0.0)
    batch = draw_batch([labelled], plan, 0, 0)
    assert batch.x.shape == (400, 3, 8, 8)
    planes = batch.x[:, 1, 4, 4].round()
    assert set(planes.tolist()) == set(range(40))
    assert float(planes.mean()) == pytest.approx(19.5, abs=2)
