import torch

from hilum.training.samples import CENTRES, labelled_sample, masked_sample


def test_a_sample_knows_where_its_targets_are():
    mask = torch.zeros(2, 20, 30)
    mask[0, 4:8, 10:12] = 1
    sample = masked_sample("one", torch.zeros(3, 20, 30), mask, torch.ones(2))
    assert sample.stack.shape == (5, 20, 30)
    assert (sample.channels, sample.shape) == (3, (20, 30))
    assert sample.centres[0].tolist() == [[y, x] for y in range(4, 8) for x in (10, 11)]
    assert len(sample.centres[1]) == 0


def test_many_pixels_are_thinned_out_always_alike():
    mask = torch.ones(1, 100, 100)
    one, two = (masked_sample("one", torch.zeros(1, 100, 100), mask, torch.ones(1)) for _ in range(2))
    assert len(one.centres[0]) == CENTRES
    assert (one.centres[0] == two.centres[0]).all()
    assert one.centres[0].mean() > 40


def test_a_labelled_sample_has_no_centres():
    sample = labelled_sample("one", torch.zeros(1, 8, 8), torch.ones(2), torch.ones(2))
    assert sample.centres == ()
    assert sample.label.tolist() == [1, 1]
