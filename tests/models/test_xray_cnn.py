"""The eight-convolution classifier: both counts, levels, dropout and the one size it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.errors import PlanError
from hilum.models.parameters import Parameters, count_parameters
from hilum.models.xray_cnn import XrayCnn


def test_parameters_are_those_of_the_original() -> None:
    with torch.device("meta"):
        assert count_parameters(XrayCnn(3)) == Parameters(total=7_352_017, trainable=7_347_985)


def test_output_at_the_original_size() -> None:
    torch.manual_seed(0)
    assert XrayCnn(3)(torch.rand(2, 3, 300, 300)).shape == (2, 1)


def test_normalisation_from_the_third_level_and_dropout_in_the_last_three() -> None:
    kinds = [{type(part) for part in level.modules()} for level in XrayCnn(3).levels]
    assert [nn.BatchNorm2d in kind for kind in kinds] == [False] * 2 + [True] * 6
    assert [nn.Dropout in kind for kind in kinds] == [False] * 5 + [True] * 3
    assert all(nn.MaxPool2d in kind and nn.LeakyReLU in kind for kind in kinds)


def test_normalisation_has_keras_defaults() -> None:
    norms = [module for module in XrayCnn(3).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


@pytest.mark.parametrize("sides", [(299, 300), (300, 512), (64, 64)])
def test_only_its_size_fits(sides: tuple[int, int]) -> None:
    with pytest.raises(PlanError, match=f"exactly 300 x 300 pixels, got {sides[0]} x {sides[1]}"):
        XrayCnn(1)(torch.zeros(1, 1, *sides))


def test_another_size_may_be_set() -> None:
    net = XrayCnn(1, size=512)
    assert net.dense.in_features == 4 * 1024
    assert net(torch.zeros(1, 1, 512, 512)).shape == (1, 1)


def test_a_size_below_the_poolings_is_refused() -> None:
    with pytest.raises(PlanError, match="size = 224 must be a whole number of at least 256"):
        XrayCnn(1, size=224)


@pytest.mark.parametrize(
    ("setting", "value"), [("slope", 1.5), ("dropout", -1), ("dense", 0), ("widths", [])]
)
def test_settings_out_of_range(setting: str, value: object) -> None:
    with pytest.raises(PlanError, match=setting):
        XrayCnn(1, **{setting: value})  # type: ignore[arg-type]
