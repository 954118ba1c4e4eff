"""The five-level U-Net of nerves and nodules: exact counts, shapes, sides that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.errors import PlanError
from hilum.models import create
from hilum.models.parameters import Parameters, count_parameters
from hilum.models.ultrasound_nerve import UltrasoundNerve


@pytest.mark.parametrize("name", ["ultrasound-nerve-2016", "nodule-2017"])
def test_parameters_are_those_of_the_original(name: str) -> None:
    with torch.device("meta"):
        assert count_parameters(create(name, 1)) == Parameters(7_759_521, 7_759_521)


@pytest.mark.parametrize("sides", [(64, 80), (96, 96), (512, 512)])
def test_shapes_at_the_original_sizes(sides: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert UltrasoundNerve(1)(torch.empty(32, 1, *sides)).shape == (32, 1, *sides)


def test_transposed_convolutions_go_up() -> None:
    net = UltrasoundNerve(1)
    up = [module for module in net.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [(each.in_channels, each.out_channels, each.kernel_size) for each in up] == [
        (512, 256, (2, 2)),
        (256, 128, (2, 2)),
        (128, 64, (2, 2)),
        (64, 32, (2, 2)),
    ]


def test_sides_that_do_not_fit() -> None:
    with pytest.raises(PlanError, match="multiples of 16, got 420 x 580: pad or resize them to 432 x 592"):
        UltrasoundNerve(1, widths=(1,) * 5)(torch.zeros(1, 1, 420, 580))


def test_weights_are_glorot_uniform() -> None:
    torch.manual_seed(0)
    kernel = UltrasoundNerve(1).down[4][0].weight
    limit = (6 / (256 * 9 + 512 * 9)) ** 0.5
    assert kernel.abs().max().item() == pytest.approx(limit, rel=1e-3)
    assert kernel.std().item() == pytest.approx(limit / 3**0.5, rel=0.01)
