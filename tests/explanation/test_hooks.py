import pytest
import torch
from torch import nn

from hilum.explanation.hooks import hooked, shrunken


def test_hooks_are_taken_off_and_the_mode_is_restored():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    seen = []

    def fail():
        with hooked(network, {"0": lambda module, *_: seen.append(module)}):
            assert not network.training
            network(torch.rand(1, 1, 4, 4))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    network(torch.rand(2, 1, 4, 4))
    assert network.training
    assert seen == [network[0]]


def test_a_pixel_that_is_partly_image_is_kept():
    assert shrunken((9, 16), (16, 16), (4, 4)) == (3, 4)
