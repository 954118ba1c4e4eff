"""The brushes: noise with the promised deviation, distances with the promised sign."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.phantoms.drawing import blob, cell_walls, cover, generator, ring, smooth_noise, specks, tube


@pytest.mark.parametrize(("shape", "scale"), [((400,), 8.0), ((200, 260), 9.0), ((40, 60, 50), 5.0)])
def test_smooth_noise_has_unit_deviation_and_no_jumps(shape: tuple[int, ...], scale: float) -> None:
    noise = smooth_noise(generator(0), shape, scale)
    assert noise.shape == shape
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.35
    assert 0.6 < noise.std() < 1.4
    assert np.abs(np.diff(noise, axis=0)).max() < 6 / scale * 1.5


def test_cover_and_ring_at_known_distances() -> None:
    distance = np.array([-2.0, 0.0, 2.0, 4.0], np.float32)
    assert cover(distance).tolist() == [1.0, 0.5, 0.0, 0.0]
    assert ring(distance, 1.0, 3.0).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_blob_without_wobble_is_a_circle() -> None:
    distance = blob(generator(0), (61, 61), (30, 30), (12, 12), wobble=0)
    y, x = np.mgrid[:61, :61]
    assert np.allclose(distance, np.hypot(y - 30, x - 30) - 12, atol=1e-3)


def test_a_tube_is_as_thick_as_asked() -> None:
    distance = tube((40, 60), [(20, 10), (20, 50)], [4, 4])
    assert distance[20, 30] == pytest.approx(-4)
    assert distance[26, 30] == pytest.approx(2)
    assert distance[20, 58] == pytest.approx(4)


def test_specks_follow_their_density() -> None:
    density = np.zeros((100, 100), np.float32)
    density[:, 50:] = 0.05
    drawn = specks(generator(0), density, 1.0)
    assert drawn[:, 60:].mean() > 0.1
    assert drawn[:, :40].max() == 0


def test_cell_walls_enclose_spaces_of_the_asked_width() -> None:
    walls = cell_walls(generator(0), (120, 120), 12.0, merge=0.0)
    assert walls.min() < 0.2
    assert 2 < np.quantile(walls, 0.9) < 8
