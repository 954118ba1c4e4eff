import dataclasses

import pytest
import torch

from hilum.errors import TrainingError
from hilum.planning.plan import Plan
from hilum.training.samples import masked_sample
from hilum.training.tiling import cut, cut_samples, largest_share


def sample(shape=(1040, 1392), targets=1):
    mask = torch.zeros(targets, *shape)
    mask[0, :100, :100] = 1
    return masked_sample("a", torch.rand(3, *shape), mask, torch.ones(targets))


def plan(tiles, size, min_share=0.0):
    made = Plan()
    made.data.tiles, made.training.patch, made.training.min_share = tiles, size, min_share
    return made


def test_training_tiles_of_the_histology_recipe():
    whole = sample()
    tiles = list(cut(whole, [2, 3], [512, 512]))
    places = [(0, 0), (0, 440), (0, 880), (528, 0), (528, 440), (528, 880)]
    assert [tile.name for tile in tiles] == [f"a r{top} c{left}" for top, left in places]
    for tile, (top, left) in zip(tiles, places, strict=True):
        assert torch.equal(tile.stack, whole.stack[:, top : top + 512, left : left + 512])
        assert tile.stack.untyped_storage().data_ptr() == whole.stack.untyped_storage().data_ptr()


def test_centres_move_with_the_tile():
    for tile in cut(sample((40, 60)), [2, 2], [24, 40]):
        for y, x in tile.centres[0]:
            assert tile.stack[3, y, x] == 1
    first, *_, last = cut(sample((400, 600)), [2, 2], [240, 400])
    assert len(first.centres[0]) == 4096
    assert len(last.centres[0]) == 0


def test_tiles_with_little_target_are_left_out():
    wanted = cut_samples([sample()], plan([2, 3], [512, 512], 0.01))
    assert [tile.name for tile in wanted] == ["a r0 c0"]
    assert largest_share(wanted[0]) == pytest.approx(100 * 100 / 512**2)
    unknown = dataclasses.replace(sample(), known=torch.zeros(1))
    with pytest.raises(TrainingError, match="min_share"):
        cut_samples([unknown], plan([2, 3], [512, 512], 0.01))


def test_without_tiles_samples_stay_as_they_are():
    whole = sample((40, 60))
    assert cut_samples([whole], plan(None, [16, 16], 0.9)) == [whole]
