import numpy as np
import pytest
import torch
from torch import nn

from hilum.image.image import Image
from hilum.inference import predictor
from hilum.inference.predictor import enlarged, make_predictor, predict_tensor, quantised
from hilum.planning.plan import DataPlan, InferencePlan, ModelPlan, Plan


def plan(activation="sigmoid", outputs=("one",), channels=1, dims=2, **inference):
    return Plan(
        data=DataPlan(channels=channels, outputs=list(outputs), dims=dims, mean=[0.0], std=[1.0]),
        model=ModelPlan(activation=activation),
        inference=InferencePlan(**inference),
    )


@pytest.fixture
def network():
    """Makes one convolution of some width, fixed: what it sees is (width - 1) / 2 pixels far."""

    def make(width=3, outputs=1, channels=1):
        made = nn.Conv2d(channels, outputs, width, padding=width // 2)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            nn.init.zeros_(made.bias)
            made.weight.copy_(torch.randn(made.weight.shape, generator=generator) * 0.5)
        return made.eval()

    return make


@pytest.fixture
def picture():
    return torch.randn(1, 150, 200, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_tiles_of_a_network_that_sees_one_pixel_give_the_whole(network, picture, overlap):
    whole = predict_tensor(network(1), picture, plan())
    tiled = predict_tensor(network(1), picture, plan(tile=[64, 48], overlap=overlap))
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)


def test_tiles_show_no_seam(network, picture):
    """A network that sees 3 pixels far is blind at tile borders; blended, hardly a trace of it remains."""
    whole = predict_tensor(network(7), picture, plan())
    tiled = predict_tensor(network(7), picture, plan(tile=[64, 64], overlap=0.25))
    hard = torch.zeros_like(whole)
    for y in range(0, 150, 50):
        for x in range(0, 200, 50):
            part = picture[:, y : y + 50, x : x + 50]
            hard[:, y : y + 50, x : x + 50] = predict_tensor(network(7), part, plan())
    assert (tiled - whole).abs().max() < 0.05 < (hard - whole).abs().max() / 3
    assert (tiled - whole).abs().mean() < 1e-3


def test_a_u_net_in_tiles_answers_alike():
    """Tiles that start at multiples of what the network halves see the same pooling windows as the whole."""
    from hilum import models

    torch.manual_seed(0)
    unet = models.create("unet", 1, 1, width=4, depth=2).eval()
    x = torch.randn(1, 160, 192, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = predict_tensor(unet, x, plan())
        tiled = predict_tensor(unet, x, plan(tile=[96, 96], overlap=0.5))
    assert (tiled - whole).abs().mean() < 0.005


def test_an_image_that_fits_one_tile_is_taken_whole(network, picture):
    whole = predict_tensor(network(7), picture, plan())
    assert torch.equal(predict_tensor(network(7), picture, plan(tile=[150, 200])), whole)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (65, 64), (64, 64)])
def test_any_size_comes_back_in_that_size(network, shape):
    x = torch.randn(1, *shape)
    found = predict_tensor(network(3), x, plan(tile=[64, 64]))
    assert found.shape == (1, *shape)
    assert torch.isfinite(found).all()


def test_volumes_are_tiled_too():
    network = nn.Conv3d(1, 2, 1).eval()
    x = torch.randn(1, 20, 40, 30)
    both = plan(outputs=("a", "b"), dims=3)
    tiled = plan(outputs=("a", "b"), dims=3, tile=[8, 16, 16])
    torch.testing.assert_close(
        predict_tensor(network, x, tiled), predict_tensor(network, x, both), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("flips", [["x"], ["y"], ["x", "y"]])
def test_mirrored_copies_make_the_answer_mirror_alike(network, picture, flips):
    axes = [{"x": -1, "y": -2}[name] for name in flips]
    plain = predict_tensor(network(3), picture, plan())
    one = predict_tensor(network(3), picture, plan(flips=flips))
    other = predict_tensor(network(3), picture.flip(axes), plan(flips=flips)).flip(axes)
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    assert not torch.allclose(one, plain, atol=1e-3)


def test_copies_answered_together_and_one_by_one_are_alike(network, picture, monkeypatch):
    both = plan(flips=["x", "y"])
    together = predict_tensor(network(7), picture, both)
    monkeypatch.setattr(predictor, "SLICE_PIXELS", 1)
    torch.testing.assert_close(predict_tensor(network(7), picture, both), together, atol=1e-6, rtol=0)


def test_labels_of_whole_images_are_averaged_over_mirrored_copies():
    class Corner(nn.Conv2d):
        def forward(self, x):
            return x[:, :, 0, 0]

    x = torch.tensor([[[0.0, 2.0], [4.0, 6.0]]])
    found = predict_tensor(Corner(1, 1, 1), x, plan(flips=["x", "y"]))
    torch.testing.assert_close(found, x.sigmoid().mean()[None])


def test_folds_are_averaged():
    networks = [nn.Conv2d(1, 1, 1) for _ in range(2)]
    for network, bias in zip(networks, (-9.0, 9.0), strict=True):
        nn.init.zeros_(network.weight)
        nn.init.constant_(network.bias, bias)
    found = make_predictor(networks, plan()).prepared(torch.zeros(1, 4, 4))
    assert found.shape == (1, 4, 4)
    assert found.mean() == pytest.approx(0.5, abs=1e-5)


def test_an_image_goes_through_the_plan_s_preparation():
    network = nn.Conv2d(3, 1, 1)
    image = Image(np.full((3, 40, 60), 128, np.uint8))
    settings = plan(channels=3)
    settings.data.downsample = 4
    assert make_predictor([network], settings).image(image).shape == (1, 10, 15)


def test_a_network_says_what_it_must_be_padded_to(network):
    class Halving(nn.Conv2d):
        divisor = 8

        def forward(self, x):
            assert x.shape[2] % 8 == 0
            assert x.shape[3] % 8 == 0
            return super().forward(x)

    assert predict_tensor(Halving(1, 1, 1), torch.zeros(1, 13, 21), plan()).shape == (1, 13, 21)


def test_probabilities_are_kept_in_256_steps():
    values = np.array([-0.1, 0.0, 0.5, 0.9999, 1.0, 2.0], np.float32)
    assert quantised(values).tolist() == [0, 0, 128, 255, 255, 255]


def test_enlarging_keeps_flat_areas_and_the_range():
    small = np.zeros((1, 4, 4), np.uint8)
    small[0, :, 2:] = 255
    full = enlarged(small, (40, 40))
    assert full.shape == (1, 40, 40)
    assert full.dtype == np.uint8
    assert (full[0, :, :10] == 0).all()
    assert (full[0, :, 30:] == 255).all()
    assert (full[0, 0].astype(int)[1:] >= full[0, 0].astype(int)[:-1]).all()
    assert (enlarged(small, (4, 4)) == small).all()
