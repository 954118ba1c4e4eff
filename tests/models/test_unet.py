"""The two U-Nets: which levels are normalised by groups of an image's channels, and what that does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hilum import models
from hilum.errors import PlanError
from hilum.models.unet import GROUP, norm_of

NETWORKS = ("unet", "link-unet")


def kinds(net: nn.Module) -> dict[type, set[int]]:
    """Channels of the layers of each kind of normalisation."""
    found: dict[type, set[int]] = {}
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            found.setdefault(type(module), set()).add(module.num_features)
        if isinstance(module, nn.GroupNorm):
            found.setdefault(nn.GroupNorm, set()).add(module.num_channels)
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dims", "by_batch"), [(2, nn.BatchNorm2d), (3, nn.BatchNorm3d)])
def test_groups_begin_at_so_many_channels(name: str, dims: int, by_batch: type) -> None:
    made = {"dims": dims, "width": 8, "depth": 3}
    assert kinds(models.create(name, 1, **made)) == {by_batch: {8, 16, 32, 64}}
    found = kinds(models.create(name, 1, **made, group_from=32))
    assert found == {by_batch: {8, 16}, nn.GroupNorm: {32, 64}}
    assert kinds(models.create(name, 1, **made, group_from=65)) == {by_batch: {8, 16, 32, 64}}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_made_before_there_were_groups_is_the_same(name: str) -> None:
    """A plan that says nothing of them has batch normalisation alone, under the names its weights have."""
    nets = []
    for more in ({}, {"group_from": 0}):
        torch.manual_seed(0)
        nets.append(models.create(name, 1, width=4, depth=2, **more).state_dict())
    assert list(nets[0]) == list(nets[1])
    assert sum(key.endswith("running_mean") for key in nets[0]) == {"unet": 10, "link-unet": 10}[name]
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())


@pytest.mark.parametrize("name", NETWORKS)
def test_images_of_a_batch_are_learnt_from_alone_where_all_is_by_groups(name: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 1, 16, 16)
    alone = models.create(name, 1, width=4, depth=1, group_from=1).train()
    assert torch.allclose(alone(x)[:1], alone(x[:1]), atol=1e-5)
    mixed = models.create(name, 1, width=4, depth=1).train()
    assert not torch.allclose(mixed(x)[:1], mixed(x[:1]), atol=1e-3)


def by_hand(x: Tensor, groups: int) -> Tensor:
    parts = x.double().reshape(len(x), groups, -1)
    spread = parts.var(2, unbiased=False, keepdim=True)
    return ((parts - parts.mean(2, keepdim=True)) / (spread + 1e-5).sqrt()).reshape(x.shape)


@pytest.mark.parametrize(("channels", "groups"), [(GROUP, 1), (3 * GROUP, 3), (GROUP + 4, 1), (6, 1)])
def test_groups_have_sixteen_channels_or_all(channels: int, groups: int) -> None:
    x = torch.randn(2, channels, 5, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    found = norm_of(channels, 2, group_from=1)(x)
    assert torch.allclose(found.double(), by_hand(x, groups), atol=1e-5)


def test_a_constant_image_stays_finite_and_keeps_what_its_channels_differ_by() -> None:
    x = torch.arange(32.0)[None, :, None, None].expand(1, 32, 8, 8)
    found = norm_of(32, 2, group_from=32)(x)
    assert bool(found.isfinite().all())
    assert bool((found[0, :GROUP, 0, 0].diff() > 0.1).all())


@pytest.mark.parametrize("group_from", [-1, 1.5, True, "128", None])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_no_number_of_channels_is_refused(name: str, group_from: object) -> None:
    with pytest.raises(PlanError, match=r"group_from = .* must be a whole number of at least 0"):
        models.create(name, 1, group_from=group_from)
