"""Counting as Keras does."""

from __future__ import annotations

from torch import nn

from hilum.models.parameters import Parameters, count_parameters


def test_running_statistics_count_as_not_trainable() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.BatchNorm2d(2, affine=False))
    assert count_parameters(net) == Parameters(total=20 + 8 + 4, trainable=20 + 4)


def test_frozen_weights_are_not_trainable() -> None:
    net = nn.Linear(3, 2)
    net.weight.requires_grad_(False)
    assert count_parameters(net) == Parameters(total=8, trainable=2)


def test_normalisation_without_statistics() -> None:
    assert count_parameters(nn.BatchNorm1d(3, track_running_stats=False)) == Parameters(6, 6)


def test_text_has_thousands() -> None:
    assert str(Parameters(7_352_017, 7_347_985)) == "7,352,017 parameters, 7,347,985 of them trainable"
