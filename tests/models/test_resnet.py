"""The small residual network: sizes, stems, three dimensions, its start as a shallow network."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hilum.errors import PlanError
from hilum.models.resnet import ResNet, _fold


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4]))
def test_any_size_goes(height: int, width: int, stem: int) -> None:
    net = ResNet(1, 2, width=2, stem=stem).eval()
    assert net(torch.zeros(1, 1, height, width)).shape == (1, 2)


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("attention", [False, True])
def test_three_dimensions(stem: int, attention: bool) -> None:
    net = ResNet(1, width=4, stem=stem, attention=attention, dims=3)
    assert net(torch.rand(2, 1, 9, 12, 8)).shape == (2, 1)
    assert net.features(torch.rand(2, 1, 16, 16, 16)).shape == (2, 16, *([16 // stem // 4] * 3))


def test_stages_halve_and_double() -> None:
    net, maps = ResNet(1, width=4, blocks=(1, 2, 1, 1)), []
    for layer in net.feature_layers():
        net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
    net(torch.rand(2, 1, 28, 28))
    assert maps == [(4, 28, 28), (4, 28, 28), (8, 14, 14), (16, 7, 7), (32, 4, 4)]


def test_folding_keeps_every_pixel_once() -> None:
    x = torch.arange(2 * 6 * 8.0).reshape(1, 2, 6, 8)
    folded = _fold(x, 2)
    assert folded.shape == (1, 8, 3, 4)
    assert torch.equal(folded.flatten().sort().values, x.flatten())
    assert torch.equal(folded[0, 0], x[0, 0, ::2, ::2])


def test_folding_continues_the_edge() -> None:
    folded = _fold(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 2)
    assert folded[0, :, 0, 1].tolist() == [3.0] * 4


def test_blocks_start_as_their_shortcut() -> None:
    net = ResNet(1, width=4).eval()
    x = torch.rand(1, 4, 8, 8)
    block = net.stages[0][0]
    assert torch.equal(block(x), x)
    assert not block.second[1].weight.any()


def test_attention_adds_weights_that_matter() -> None:
    torch.manual_seed(0)
    plain, weighed = ResNet(1, width=8), ResNet(1, width=8, attention=True)
    assert sum(p.numel() for p in weighed.parameters()) > sum(p.numel() for p in plain.parameters())
    block = weighed.stages[0][0].eval()
    nn.init.ones_(block.second[1].weight)
    x = torch.rand(1, 8, 6, 6)
    half = block.attention(x)
    with torch.no_grad():
        block.attention.excite.bias.fill_(30.0)
    assert torch.allclose(block.attention(x), x, atol=1e-4)
    assert bool((half.abs() < x).all())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("width", 0),
        ("blocks", []),
        ("blocks", [0]),
        ("stem", 3),
        ("dims", 4),
        ("dropout", 1.0),
        ("width", 2.5),
    ],
)
def test_settings_out_of_range(setting: str, value: object) -> None:
    with pytest.raises(PlanError, match=setting):
        ResNet(1, **{setting: value})  # type: ignore[arg-type]


def test_axes_and_channels_that_do_not_fit() -> None:
    with pytest.raises(PlanError, match=r"batches \(N, C, Z, Y, X\), got an array of shape \(1, 1, 8, 8\)"):
        ResNet(1, width=2, dims=3)(torch.zeros(1, 1, 8, 8))
    with pytest.raises(PlanError, match=r"made for 1 channel\(s\), the image has 3"):
        ResNet(1, width=2)(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(("dims", "side"), [(2, 28), (3, 24), (3, 32), (2, 3)])
def test_pooling_in_the_middle_sees_the_middle_alone(dims: int, side: int) -> None:
    torch.manual_seed(0)
    net = ResNet(1, 1, dims=dims, width=4, blocks=[1], pool="middle").eval()
    image = torch.zeros(1, 1, *[side] * dims)
    moved = image.clone()
    moved[(0, 0, *[0] * dims)] = 100
    middle = image.clone()
    middle[(0, 0, *[side // 2] * dims)] = 100
    with torch.no_grad():
        plain = net(image)
        assert torch.equal(net(moved), plain) == (side > 3)
        assert not torch.equal(net(middle), plain)


def test_an_unknown_pool_is_named() -> None:
    with pytest.raises(PlanError, match="mean or middle"):
        ResNet(1, 1, pool="max")
