import pytest
import torch
from torch import nn

from hilum.explanation.forward import cropped, hooked, padded_batch, shrunken


def test_padding_and_cropping_are_inverse(segmenter):
    x = torch.rand(2, 1, 9, 14)
    padded = padded_batch(segmenter, x)
    assert padded.shape == (2, 1, 12, 16)
    assert torch.equal(cropped(padded, (9, 14)), x)


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
