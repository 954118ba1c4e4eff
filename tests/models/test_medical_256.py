"""The U-Net with dropout: exact counts, shapes, where dropout acts, how its 2x2 convolution pads."""

from __future__ import annotations

import pytest
import torch

from hilum.errors import PlanError
from hilum.models.medical_256 import Medical256, _Up
from hilum.models.parameters import Parameters, count_parameters


def test_parameters_are_those_of_the_original() -> None:
    with torch.device("meta"):
        assert count_parameters(Medical256(1)) == Parameters(31_031_685, 31_031_685)


def test_shapes_at_the_original_size() -> None:
    with torch.device("meta"):
        assert Medical256(1)(torch.empty(2, 1, 256, 256)).shape == (2, 1, 256, 256)


def test_sides_that_do_not_fit() -> None:
    with pytest.raises(PlanError, match="multiples of 16, got 250 x 256: pad or resize them to 256 x 256"):
        Medical256(1, widths=(1,) * 5)(torch.zeros(1, 1, 250, 256))


def test_dropout_acts_after_the_two_lowest_levels() -> None:
    net, seen = Medical256(1, widths=(2, 3, 4)), []
    net.dropout.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape[1]))
    net(torch.rand(1, 1, 8, 8))
    assert seen == [3, 4]
    assert net.dropout.p == 0.5


def test_two_by_two_convolution_looks_right_and_down() -> None:
    up = _Up(1, 1)
    with torch.no_grad():
        up.enlarge.weight.copy_(torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]))
        up.enlarge.bias.zero_()
        up.join[0].weight.zero_()
        up.join[0].weight[0, 1, 1, 1] = 1.0
        up.join[2].weight.zero_()
        up.join[0].bias.zero_()
        up.join[2].bias.zero_()
        up.join[2].weight[0, 0, 1, 1] = 1.0
        x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        out = up(x, torch.zeros(1, 1, 4, 4))[0, 0]
    # Enlarged: 1 1 2 2 / 1 1 2 2 / 3 3 4 4 / 3 3 4 4, zeros follow to the right and below.
    assert out[0].tolist() == [1111.0, 2121.0, 2222.0, 202.0]
    assert out[1].tolist() == [3311.0, 4321.0, 4422.0, 402.0]
    assert out[3].tolist() == [33.0, 43.0, 44.0, 4.0]


@pytest.mark.parametrize("dropout", [1, -0.1, "half", True])
def test_dropout_out_of_range(dropout: object) -> None:
    with pytest.raises(PlanError, match="dropout"):
        Medical256(1, dropout=dropout)  # type: ignore[arg-type]
