import pytest
import torch
from torch import nn

from hilum.models.forward import cropped, logits_of, pad_to, padded_batch


class Brightness(nn.Conv2d):
    """Answers what it sees, and remembers how large that was; sides are multiples of 4."""

    divisor = 4

    def __init__(self):
        super().__init__(1, 1, 1, bias=False)
        nn.init.ones_(self.weight)

    def forward(self, x):
        self.seen = x.shape
        return super().forward(x)


@pytest.mark.parametrize(
    ("shape", "divisor", "expected"), [((5, 9), 4, (8, 12)), ((8, 8), 4, (8, 8)), ((1, 3), 16, (16, 16))]
)
def test_padding_reaches_the_multiple_and_keeps_the_image(shape, divisor, expected):
    x = torch.rand(1, 2, *shape)
    found = pad_to(x, divisor)
    assert found.shape[2:] == expected
    assert torch.equal(found[:, :, : shape[0], : shape[1]], x)
    assert found.min() >= 0


@pytest.mark.parametrize(("rows", "expected"), [(4, [0, 1, 2, 3, 4, 3, 2, 1]), (2, [0, 1, 2, 3, 4, 4, 4, 4])])
def test_padding_mirrors_the_image_and_repeats_the_rim_of_small_ones(rows, expected):
    x = torch.arange(5.0).repeat(1, 1, rows, 1)
    assert pad_to(x, 4)[0, 0, 0].tolist() == expected
    assert torch.equal(pad_to(x, 1), x)


def test_padding_and_cropping_are_inverse():
    x = torch.rand(2, 1, 9, 14)
    padded = padded_batch(Brightness(), x)
    assert padded.shape == (2, 1, 12, 16)
    assert torch.equal(cropped(padded, (9, 14)), x)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_logits_are_those_of_the_image_alone_in_single_precision(precision):
    network, x = Brightness(), torch.randint(0, 9, (2, 1, 5, 7)).float()
    found = logits_of(network, x, precision)
    assert network.seen == (2, 1, 8, 8)
    assert found.dtype == torch.float32
    assert torch.equal(found, x)
