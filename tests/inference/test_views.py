"""Small moves of a whole image."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.inference.views import SHIFT, TURN_DEG, moved_copies


def test_the_first_copies_are_the_images_and_the_others_differ() -> None:
    x = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    copies = moved_copies(x).reshape(9, 2, 3, 20, 24)
    assert torch.equal(copies[0], x)
    assert all(not torch.allclose(copy, x) for copy in copies[1:])


def test_a_shift_is_four_per_cent_of_the_side() -> None:
    side = 50
    x = torch.zeros(1, 1, side, side)
    x[..., 25, 25] = 1
    places = [divmod(int(copy.flatten().argmax()), side) for copy in moved_copies(x)[5:]]
    by = round(SHIFT * side)
    assert sorted(places) == sorted([(25, 25 - by), (25, 25 + by), (25 - by, 25), (25 + by, 25)])


def test_zooms_and_turns_keep_a_centred_disc() -> None:
    along = torch.arange(41) - 20.0
    disc = ((along[:, None] ** 2 + along[None] ** 2) < 100).float()[None, None]
    sums = [float(copy.sum()) / float(disc.sum()) for copy in moved_copies(disc)[:5]]
    expected = (1, 1, 1, 1 / 0.9**2, 1 / 1.1**2)
    assert max(abs(found - wanted) for found, wanted in zip(sums, expected, strict=True)) < 0.05


def test_volumes_stay_as_they_are() -> None:
    x = torch.rand(1, 1, 4, 5, 6)
    assert moved_copies(x) is x


@pytest.mark.parametrize(("height", "width"), [(96, 96), (96, 192), (200, 90)])
def test_a_turn_keeps_right_angles_whatever_the_shape(height: int, width: int) -> None:
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    for number, sign in ((1, 1.0), (2, -1.0)):
        turned = moved_copies(torch.stack([x, y])[None])[number]
        inner = turned[:, height // 2 - 20 : height // 2 + 20, width // 2 - 20 : width // 2 + 20]
        along, down = inner.diff(dim=2).mean((1, 2)), inner.diff(dim=1).mean((1, 2))
        cos, sin = math.cos(math.radians(TURN_DEG)), sign * math.sin(math.radians(TURN_DEG))
        torch.testing.assert_close(along, torch.tensor([cos, sin]), atol=1e-3, rtol=0)
        torch.testing.assert_close(down, torch.tensor([-sin, cos]), atol=1e-3, rtol=0)
