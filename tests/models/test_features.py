"""Layers of networks that are not ours (ours are covered by the contract)."""

from __future__ import annotations

from torch import nn

from hilum.models.features import feature_layers


def test_convolutions_of_any_network() -> None:
    net = nn.Sequential(
        nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU()), nn.ConvTranspose3d(2, 1, 2), nn.Flatten()
    )
    assert feature_layers(net) == ["0.0", "1"]


def test_a_network_without_convolutions_has_none() -> None:
    assert feature_layers(nn.Linear(2, 1)) == []
