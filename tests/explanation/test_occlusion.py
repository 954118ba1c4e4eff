import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.explanation.occlusion import affordable_passes, occlusion, output_score
from hilum.planning.plan import Plan


def counted(score):
    """The score, and how many images it was asked about."""
    seen = []

    def counting(x):
        seen.append(len(x))
        return score(x)

    return counting, seen


def bright_corner():
    x = torch.zeros(1, 32, 32)
    x[0, :8, :8] = 1
    return x


def test_only_what_the_network_sees_matters(corner):
    found = occlusion(output_score(corner, Plan(), [0, 1]), bright_corner(), patch=4, passes=2000)
    assert (found.fall[0, :8, :8] > 0).all()
    assert not found.fall[0, 12:].any()
    assert not found.fall[0, :, 12:].any()
    assert (found.fall[1, :8, :8] < 0).all(), "covering what speaks against a class raises it"


def test_fall_is_in_units_of_probability(corner):
    x = bright_corner()
    found = occlusion(output_score(corner, Plan(), [0]), x, patch=8, passes=16)
    covered = x.clone()
    covered[0, :8, :8] = x.mean()
    with torch.no_grad():
        expected = (corner(x[None]).sigmoid() - corner(covered[None]).sigmoid())[0, 0]
    assert found.passes == 16
    assert np.allclose(found.fall[0, :8, :8], float(expected), atol=1e-6)


def test_of_a_segmenter_the_mean_inside_the_mask_falls(segmenter):
    x = torch.zeros(1, 14, 18)
    x[0, :6, :6] = 1
    inside = np.zeros((2, 14, 18), bool)
    inside[0, :6, :6] = True
    score = output_score(segmenter, Plan(), [0, 1], inside)
    assert torch.allclose(score(x[None])[0, 0], torch.tensor(1.0), atol=1e-3)
    found = occlusion(score, x, patch=6, passes=200)
    rows, columns = np.unravel_index(found.fall[0].argmax(), (14, 18))
    assert rows < 6
    assert columns < 6
    assert not found.fall[0, 12:, 12:].any()


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 60))
def test_never_more_passes_than_allowed_and_every_pixel_covered(sides, passes):
    score, seen = counted(lambda x: x.flatten(2).mean(2))
    found = occlusion(score, torch.ones(1, *sides), passes=passes)
    assert found.fall.shape == (1, *sides)
    assert found.passes <= passes
    assert sum(seen) == found.passes + 1


def test_later_passes_go_where_the_effect_is(corner):
    asked = []

    def score(x):
        asked.append(x.clone())
        with torch.no_grad():
            return corner(x).sigmoid()[:, :1]

    x = bright_corner()
    occlusion(score, x, patch=4, passes=64 + 12)
    images = torch.cat(asked[1:])[64:]
    changed = (images != x).any(1)
    centres = [torch.nonzero(one).float().mean(0) for one in changed if one.any()]
    assert len(images) == 12
    assert all(float(centre.max()) < 14 for centre in centres)


def test_volumes():
    found = occlusion(lambda x: x.flatten(2).mean(2), torch.ones(1, 6, 12, 12), passes=40)
    assert found.fall.shape == (1, 6, 12, 12)


@pytest.mark.parametrize(("sides", "expected"), [((28, 28), 256), ((1040, 1392), 69), ((9000, 9000), 16)])
def test_large_images_get_fewer_passes(sides, expected):
    assert affordable_passes(sides) == expected
