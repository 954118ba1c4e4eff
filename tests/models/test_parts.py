"""Checks at the door and the weights that Keras would have drawn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hilum.errors import PlanError
from hilum.models import parts


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([2, 16, 128]))
def test_the_size_to_pad_to_fits_and_is_the_smallest(height: int, width: int, divisor: int) -> None:
    x = torch.empty(1, 1, height, width, device="meta")
    if height % divisor == width % divisor == 0:
        parts.check_input(x, 1, divisor)
        return
    with pytest.raises(PlanError) as caught:
        parts.check_input(x, 1, divisor)
    padded = [int(side) for side in str(caught.value).rpartition(" to ")[2].split(" x ")]
    parts.check_input(torch.empty(1, 1, *padded, device="meta"), 1, divisor)
    assert all(0 <= big - side < divisor for big, side in zip(padded, (height, width), strict=True))


def test_empty_images_are_refused() -> None:
    with pytest.raises(PlanError, match="pad or resize them to 16 x 16"):
        parts.check_input(torch.zeros(1, 1, 0, 16), 1, 16)


def test_glorot_covers_dense_and_transposed_layers() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.ConvTranspose2d(64, 32, 2), nn.Linear(100, 50))
    parts.keras_weights_(net)
    assert net[0].weight.abs().max().item() == pytest.approx((6 / (4 * 96)) ** 0.5, rel=0.01)
    assert net[1].weight.abs().max().item() == pytest.approx((6 / 150) ** 0.5, rel=0.01)
    assert not net[0].bias.any()


def test_whole_keeps_numbers_and_refuses_the_rest() -> None:
    assert parts.whole("width", 3) == 3
    for wrong in (0, True, 1.0, "1", None):
        with pytest.raises(PlanError, match=r"width = .* must be a whole number of at least 1"):
            parts.whole("width", wrong)


def test_share_keeps_numbers_and_refuses_the_rest() -> None:
    assert parts.share("dropout", 0) == 0.0
    for wrong in (1, -0.1, float("nan"), "0.5", True):
        with pytest.raises(PlanError, match="dropout"):
            parts.share("dropout", wrong)
