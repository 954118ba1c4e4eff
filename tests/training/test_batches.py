import pytest
import torch

from hilum.planning.plan import AugmentationPlan, TrainingPlan
from hilum.training.batches import draw_batch
from hilum.training.samples import labelled_sample, masked_sample


@pytest.fixture
def samples(disc_sample):
    return [disc_sample((48, 60), (20, 30), 9, "a"), disc_sample((40, 40), (20, 20), 5, "b")]


def plan(**settings):
    moved = AugmentationPlan(rotate_deg=180, scale=0.2, elastic=3, noise=0.2, colour=True, contrast=0.2)
    return TrainingPlan(**{"patch": [32, 32], "batch": 4, "augmentation": moved, **settings})


def test_the_same_step_gives_the_same_batch_and_the_next_another(samples):
    one, again, other = (draw_batch(samples, plan(), 1, step) for step in (7, 7, 8))
    assert torch.equal(one.x, again.x)
    assert torch.equal(one.y, again.y)
    assert not torch.equal(one.x, other.x)


def test_another_fold_or_seed_draws_another_batch(samples):
    one = draw_batch(samples, plan(), 0, 3)
    assert not torch.equal(one.x, draw_batch(samples, plan(), 1, 3).x)
    assert not torch.equal(one.x, draw_batch(samples, plan(seed=1), 0, 3).x)


def test_the_global_generators_play_no_part(samples):
    torch.manual_seed(1)
    one = draw_batch(samples, plan(), 0, 0)
    torch.manual_seed(2)
    assert torch.equal(one.x, draw_batch(samples, plan(), 0, 0).x)


def test_shapes_and_values_of_a_batch(samples):
    batch = draw_batch(samples, plan(), 0, 0)
    assert batch.x.shape == (4, 1, 32, 32)
    assert batch.y.shape == (4, 1, 32, 32)
    assert set(batch.y.unique().tolist()) <= {0.0, 1.0}
    assert (batch.known.shape, batch.weight.shape) == ((4, 1), (4,))


def test_image_and_mask_stay_together(samples):
    """The phantom's image is its mask: what the network would have to find is where the mask says."""
    still = plan(augmentation=AugmentationPlan(rotate_deg=180, scale=0.3, elastic=3))
    for step in range(5):
        batch = draw_batch(samples, still, 0, step)
        inside, outside = batch.x[batch.y > 0.5], batch.x[batch.y < 0.5]
        assert inside.mean() > 0.8
        assert outside.mean() < 0.15


def test_a_rare_target_is_met_as_often_as_asked(disc_sample):
    samples = [disc_sample((400, 400), (60, 60), 6, "rare")]
    share = {
        wish: sum(
            float(draw_batch(samples, plan(rare_share=wish), 0, step).y.amax((1, 2, 3)).sum())
            for step in range(20)
        )
        / 80
        for wish in (0.0, 0.5, 1.0)
    }
    assert share[1.0] == 1
    assert 0.3 < share[0.5] < 0.8
    assert share[0.0] < 0.2


def test_every_target_gets_its_turn():
    mask = torch.zeros(2, 300, 300)
    mask[0, 20:280, 20:280] = 1
    mask[1, 140:146, 140:146] = 1
    sample = masked_sample("two", torch.zeros(1, 300, 300), mask, torch.ones(2))
    batches = [draw_batch([sample], plan(rare_share=1.0), 0, step) for step in range(10)]
    met = sum(float(batch.y[:, 1].amax((1, 2)).sum()) for batch in batches)
    assert met > 10


def test_a_study_without_a_single_pixel_of_the_target_can_be_drawn_from():
    empty = masked_sample("empty", torch.zeros(1, 40, 40), torch.zeros(1, 40, 40), torch.ones(1))
    assert draw_batch([empty], plan(rare_share=1.0), 0, 0).y.sum() == 0


def test_whole_images_are_taken_whole(disc_sample):
    sample = disc_sample((32, 32), (16, 16), 8)
    whole = plan(whole=True, augmentation=AugmentationPlan(), rare_share=0.0)
    batch = draw_batch([sample], whole, 0, 0)
    torch.testing.assert_close(batch.x[0], sample.stack[:1], atol=1e-5, rtol=0)


def test_volumes_are_drawn_from_too():
    volume = masked_sample("v", torch.rand(1, 12, 20, 20), torch.ones(1, 12, 20, 20), torch.ones(1))
    batch = draw_batch([volume], plan(patch=[8, 16, 16]), 0, 0)
    assert batch.x.shape == (4, 1, 8, 16, 16)


def test_labels_and_weights_come_with_their_image():
    samples = [
        labelled_sample(
            str(k), torch.full((1, 16, 16), float(k)), torch.tensor([float(k)]), torch.ones(1), 1.0 + k
        )
        for k in (0, 1)
    ]
    still = plan(patch=[16, 16], whole=True, batch=8, augmentation=AugmentationPlan(), rare_share=0.0)
    batch = draw_batch(samples, still, 0, 0)
    assert torch.equal(batch.y[:, 0], batch.x.mean((1, 2, 3)).round())
    assert torch.equal(batch.weight, 1 + batch.y[:, 0])
