import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.ct.planting import EDGE, planted, turned, visible


def cube(value, side=16):
    return np.full((side, side, side), value, np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.5, 6))
def test_the_denser_of_both_is_kept_inside_and_the_background_outside(seed, radius):
    rng = np.random.default_rng(seed)
    ground, nodule = (rng.uniform(-1000, 200, (16, 16, 16)).astype(np.float32) for _ in range(2))
    found = planted(ground, nodule, radius)
    axes = np.arange(16) - 7.5
    distance = np.sqrt(sum(part**2 for part in np.meshgrid(axes, axes, axes, indexing="ij")))
    inside, outside = distance <= radius, distance >= radius + EDGE
    assert found[inside] == pytest.approx(np.maximum(ground, nodule)[inside], abs=1e-3)
    assert (found[outside] == ground[outside]).all()
    assert (found >= ground).all()


def test_a_nodule_has_the_volume_of_its_ball():
    found = planted(cube(-800, 40), cube(0, 40), 8)
    volume = ((found + 800) / 800).sum()
    assert volume == pytest.approx(4 / 3 * np.pi * (8 + EDGE / 2) ** 3, rel=0.03)


def test_turning_keeps_every_voxel_and_takes_all_48_ways():
    marked = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    rng = np.random.default_rng(0)
    ways = {turned(marked, rng).tobytes() for _ in range(2000)}
    assert len(ways) == 48
    assert all(sorted(np.frombuffer(way, np.float32)) == list(range(27)) for way in ways)
    assert {np.frombuffer(way, np.float32)[13] for way in ways} == {13.0}


def test_a_nodule_inside_a_thicker_vessel_is_not_seen():
    lung, nodule = cube(-800), cube(40)
    assert visible(planted(lung, nodule, 3), lung, 3) > 0.7
    vessel = lung.copy()
    vessel[:, 4:12, 4:12] = 50
    assert visible(planted(vessel, nodule, 3), vessel, 3) < 0.1
    half = lung.copy()
    half[:8] = 50
    assert visible(planted(half, nodule, 4), half, 4) == pytest.approx(0.42, abs=0.1)
