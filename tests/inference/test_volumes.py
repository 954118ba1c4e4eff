import pytest
import torch
from torch import nn

from hilum.inference import predictor
from hilum.inference.predictor import predict_tensor
from hilum.planning.plan import DataPlan, InferencePlan, Plan


def plan(neighbours, outputs=2, **inference):
    data = DataPlan(channels=1, outputs=[str(k) for k in range(outputs)], neighbours=neighbours)
    return Plan(data=data, inference=InferencePlan(**inference))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Conv2d(5, 2, 3, padding=1).eval()


@pytest.fixture
def x():
    return torch.randn(1, 7, 24, 20, generator=torch.Generator().manual_seed(1))


def by_hand(network, x):
    """Each slice on its own: two below, itself, two above, the ends repeated."""
    planes = []
    for z in range(x.shape[1]):
        around = [min(max(z + offset, 0), x.shape[1] - 1) for offset in (-2, -1, 0, 1, 2)]
        with torch.no_grad():
            planes.append(network(x[0, around][None]).sigmoid()[0])
    return torch.stack(planes, 1)


@pytest.mark.parametrize("at_once", [1, 3 * 480, 1 << 18])
def test_a_volume_goes_slice_by_slice(network, x, monkeypatch, at_once):
    monkeypatch.setattr(predictor, "SLICE_PIXELS", at_once)
    found = predict_tensor(network, x, plan(2))
    assert found.shape == (2, 7, 24, 20)
    torch.testing.assert_close(found, by_hand(network, x), atol=1e-6, rtol=0)


def test_tiles_of_slices_give_the_whole(x):
    network = nn.Conv2d(5, 2, 1).eval()
    whole = predict_tensor(network, x, plan(2))
    tiled = predict_tensor(network, x, plan(2, tile=[16, 16]))
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)


def test_mirrored_copies_of_slices(network, x):
    found = predict_tensor(network, x, plan(2, flips=["x"]))
    mirrored = predict_tensor(network, x.flip(-1), plan(2, flips=["x"])).flip(-1)
    torch.testing.assert_close(found, mirrored, atol=1e-6, rtol=0)


def test_a_flip_along_z_leaves_flat_images_alone(network, x):
    torch.testing.assert_close(
        predict_tensor(network, x, plan(2, flips=["z"])), predict_tensor(network, x, plan(2))
    )
