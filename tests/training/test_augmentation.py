import numpy as np
import pytest
import torch

from hilum.planning.plan import AugmentationPlan
from hilum.training.augmentation import pixel_matrix, recolour, theta, warp

EYE = np.eye(2)


def cut(stack, matrix=EYE, centre=None, patch=(16, 16), elastic=0.0, seed=0):
    centre = centre or [(size - 1) / 2 for size in stack.shape[1:]]
    thetas = torch.from_numpy(theta(matrix, centre, stack.shape[1:], patch))[None]
    return warp([stack], thetas, patch, elastic, torch.Generator().manual_seed(seed))[0]


@pytest.fixture
def noise():
    return torch.rand(2, 40, 56, generator=torch.Generator().manual_seed(0))


def test_without_any_move_the_patch_is_the_crop_to_the_pixel(noise):
    found = cut(noise, centre=[10 + 7.5, 20 + 7.5])
    torch.testing.assert_close(found, noise[:, 10:26, 20:36], atol=1e-5, rtol=0)


def test_in_three_dimensions_too():
    volume = torch.rand(1, 10, 20, 24, generator=torch.Generator().manual_seed(0))
    found = cut(volume, np.eye(3), [2 + 1.5, 4 + 3.5, 6 + 5.5], (4, 8, 12))
    torch.testing.assert_close(found, volume[:, 2:6, 4:12, 6:18], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("signs", "axis"), [((-1, 1), -1), ((1, -1), -2)], ids=["x", "y"])
def test_a_flip_mirrors_its_own_axis(noise, signs, axis):
    flipped = cut(noise, np.diag(np.array(signs, float)), patch=(40, 56))
    torch.testing.assert_close(flipped, noise.flip(axis), atol=1e-5, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn():
    square = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    turned = cut(square, np.array([[0.0, -1.0], [1.0, 0.0]]), patch=(32, 32))
    assert any(torch.allclose(turned, torch.rot90(square, k, (1, 2)), atol=1e-5) for k in (1, 3))


def test_a_zoom_keeps_its_size_in_pixels_whatever_the_shape_of_the_image(disc):
    """A disc of radius 6 looked at with steps of half a pixel has radius 12, on long images too."""
    stack = torch.from_numpy(disc((40, 120), (20, 60), 6)).float()[None]
    found = cut(stack, EYE / 2, [20, 60], (64, 64)) > 0.5
    assert found.sum().item() == pytest.approx(np.pi * 144, rel=0.05)
    rows, columns = (int(found[0].any(axis).sum()) for axis in (1, 0))
    assert abs(rows - columns) <= 1


@pytest.mark.parametrize("seed", range(8))
def test_image_and_mask_move_alike(disc, seed):
    plan = AugmentationPlan(rotate_deg=180, scale=0.3, shear_deg=10, flip=["x", "y"])
    mask = torch.from_numpy(disc((64, 96), (40, 50), 13)).float()
    matrix = pixel_matrix(np.random.default_rng(seed), plan, 2)
    found = cut(torch.stack([mask * 100, mask]), matrix, [36.0, 52.0], (48, 48), elastic=4.0, seed=seed)
    torch.testing.assert_close(found[0], found[1] * 100, atol=1e-3, rtol=0)
    assert found[1].sum() > 100


def test_a_random_map_keeps_within_what_the_plan_allows():
    plan = AugmentationPlan(rotate_deg=30, scale=0.2)
    for seed in range(50):
        matrix = pixel_matrix(np.random.default_rng(seed), plan, 2)
        zoom = np.sqrt(np.linalg.det(matrix))
        assert np.exp(-0.2) <= zoom <= np.exp(0.2)
        assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) <= 30 + 1e-9


def test_flips_happen_half_of_the_time_and_only_where_asked():
    plan = AugmentationPlan(flip=["x"])
    signs = [np.linalg.det(pixel_matrix(np.random.default_rng(seed), plan, 2)) for seed in range(200)]
    assert 60 < sum(sign < 0 for sign in signs) < 140
    plain = AugmentationPlan()
    assert (pixel_matrix(np.random.default_rng(1), plain, 3) == np.eye(3)).all()


def test_elastic_warps_stay_near_and_smooth():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    stack = torch.stack([rows, columns])
    still = cut(stack, patch=(32, 32))
    moved = cut(stack, patch=(32, 32), elastic=3.0)
    shift = moved - still
    assert 0.3 < shift.abs().max() <= 4.5
    assert shift.diff(dim=-1).abs().max() < 0.6


def test_beyond_the_border_the_image_is_mirrored():
    stack = torch.arange(16.0).reshape(1, 1, 16).expand(1, 16, 16).contiguous()
    found = cut(stack, centre=[7.5, 0.0], patch=(16, 16))
    assert found.min() >= 0
    assert found[0, 8, 0] > 5


def test_images_of_different_sizes_go_into_one_batch(noise):
    other = torch.rand(2, 30, 30)
    thetas = torch.from_numpy(np.stack([theta(EYE, [15, 15], s.shape[1:], (8, 8)) for s in (noise, other)]))
    found = warp([noise, other], thetas, (8, 8), 1.0, torch.Generator().manual_seed(0))
    assert found.shape == (2, 2, 8, 8)


@pytest.mark.parametrize(
    "settings", [{"contrast": 0.3}, {"brightness": 0.5}, {"gamma": 0.4}, {"noise": 0.3}, {"blur": 1.0}]
)
def test_every_recolouring_changes_something_and_stays_finite(settings):
    x = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    for colour in (False, True):
        plan = AugmentationPlan(colour=colour, **settings)
        found = recolour(x, plan, torch.Generator().manual_seed(1))
        assert found.shape == x.shape
        assert torch.isfinite(found).all()
        assert not torch.allclose(found, x)
        again = recolour(x, plan, torch.Generator().manual_seed(1))
        assert torch.equal(found, again)


def test_recolouring_may_be_switched_off_and_survives_flat_images():
    x = torch.zeros(1, 3, 8, 8)
    assert recolour(x, AugmentationPlan(), torch.Generator()) is x
    assert torch.isfinite(recolour(x, AugmentationPlan(gamma=0.5, contrast=0.5), torch.Generator())).all()


def test_colour_varies_by_channel_only_where_asked():
    x = torch.ones(2, 3, 8, 8)
    together = recolour(x, AugmentationPlan(brightness=0.5), torch.Generator().manual_seed(0))
    apart = recolour(x, AugmentationPlan(brightness=0.5, colour=True), torch.Generator().manual_seed(0))
    assert (together.std(1) < 1e-6).all()
    assert (apart.std(1) > 1e-3).all()


def test_tumbling_turns_about_every_axis_and_nothing_else():
    rng = np.random.default_rng(0)
    turns = [pixel_matrix(rng, AugmentationPlan(tumble=True), 3) for _ in range(400)]
    for turn in turns:
        assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(turn) == pytest.approx(1)
    ends = np.array([turn[:, 2] for turn in turns])
    assert np.abs(ends.mean(0)).max() < 0.1
    assert (ends**2).mean(0) == pytest.approx([1 / 3] * 3, abs=0.06)
