from dataclasses import replace

import numpy as np
import pytest
import torch

from hilum.errors import PlanError
from hilum.training.batches import draw_batch
from hilum.training.copies import with_copies
from hilum.training.samples import masked_sample


@pytest.fixture
def volume():
    """A ball in a volume that is learnt slice by slice, with one slice on either side."""
    z, y, x = np.ogrid[:12, :40, :40]
    ball = torch.from_numpy((z - 6) ** 2 + (y - 20) ** 2 + (x - 18) ** 2 <= 25).float()[None]
    return replace(masked_sample("ball", ball + 0.1, ball, torch.ones(1)), neighbours=1)


def test_copies_are_new_and_the_same_each_time(disc_sample, tiny_plan):
    plan = tiny_plan(augment_to=7).training
    one, again = (with_copies([disc_sample()], plan, 0) for _ in range(2))
    assert len(one) == 7
    assert all(torch.equal(a.stack, b.stack) for a, b in zip(one, again, strict=True))
    assert len({float(sample.stack.sum()) for sample in one}) == 7


def test_copies_of_volumes_keep_their_neighbours(volume, tiny_plan):
    plan = tiny_plan(augment_to=4, batch=8).training
    copies = with_copies([volume], plan, 0)
    assert {sample.neighbours for sample in copies} == {1}
    assert draw_batch(copies, plan, 0, 0).x.shape[:2] == (8, 3)


def test_scans_with_chosen_centres_have_no_copies(volume, tiny_plan):
    marked = replace(volume, centres=(*volume.centres, np.array([[1, 2, 3]], np.int32)))
    with pytest.raises(PlanError, match="copies of scans with marks"):
        with_copies([marked], tiny_plan(augment_share=1.0).training, 0)
