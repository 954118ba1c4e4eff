"""The eight-level U-Net: exact counts, shapes at the original's size, sides that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.errors import PlanError
from hilum.models.lung_histology import LungHistology
from hilum.models.parameters import Parameters, count_parameters


def test_parameters_are_those_of_the_original() -> None:
    with torch.device("meta"):
        assert count_parameters(LungHistology(3)) == Parameters(9_977_569, 9_977_569)


def test_shapes_at_the_original_size() -> None:
    with torch.device("meta"):
        net, maps = LungHistology(3), {}
        for layer in net.feature_layers():
            net.get_submodule(layer).register_forward_hook(
                lambda _module, _inputs, output, layer=layer: maps.update({layer: tuple(output.shape[1:])})
            )
        assert net(torch.empty(2, 3, 512, 512)).shape == (2, 1, 512, 512)
    assert maps["down.0"] == maps["up.6"] == maps["last"] == (64, 512, 512)
    assert maps["down.4"] == maps["up.2"] == (256, 32, 32)
    assert maps["down.7"] == (256, 4, 4)


def test_convolutions_a_level() -> None:
    net = LungHistology(1, widths=(4, 6, 8))
    counts = [sum(isinstance(part, nn.Conv2d) for part in level) for level in (*net.down, *net.up)]
    assert counts == [2, 2, 1, 1, 1]
    assert sum(isinstance(module, nn.ELU) for module in net.modules()) == 8


def test_smallest_image_in_full_width() -> None:
    torch.manual_seed(0)
    assert LungHistology(3)(torch.rand(1, 3, 128, 128)).shape == (1, 1, 128, 128)


@pytest.mark.parametrize(("sides", "padded"), [((520, 640), "640 x 640"), ((1, 128), "128 x 128")])
def test_sides_that_do_not_fit(sides: tuple[int, int], padded: str) -> None:
    net = LungHistology(3, widths=(1,) * 8)
    with pytest.raises(PlanError, match=f"multiples of 128, got {sides[0]} x {sides[1]}.*to {padded}"):
        net(torch.zeros(1, 3, *sides))


def test_hidden_weights_are_he_normal() -> None:
    torch.manual_seed(0)
    net = LungHistology(3)
    kernel = net.down[4][2].weight
    std = (2 / (256 * 9)) ** 0.5
    assert kernel.std().item() == pytest.approx(std, rel=0.01)
    assert kernel.abs().max().item() <= 2 * std / 0.8796 + 1e-6
    assert not net.down[0][0].bias.any()


@pytest.mark.parametrize("widths", [(), (8,), "8", (8, 0), (8, 2.5), 8])
def test_widths_out_of_range(widths: object) -> None:
    with pytest.raises(PlanError, match="widths"):
        LungHistology(3, widths=widths)  # type: ignore[arg-type]
