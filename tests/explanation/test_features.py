import pytest
import torch
from torch import nn

from hilum import models
from hilum.errors import HilumError
from hilum.explanation.features import feature_maps
from hilum.models.features import feature_layers

SIZES = {"xray-cnn-2020": (20, 20)}
SETTINGS = {
    "unet": {"width": 4, "depth": 2},
    "link-unet": {"width": 4, "depth": 2},
    "resnet": {"width": 4},
    "xray-cnn-2020": {"widths": (4, 6, 8, 8), "size": 20, "dense": 8},
}


def small(name):
    torch.manual_seed(0)
    return models.create(name, 1, 2, **SETTINGS.get(name, {"widths": (4, 6, 8)})).eval()


def test_maps_are_what_the_convolution_gives():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(3, 1, 1)).eval()
    x = torch.randn(1, 10, 12)
    first, last = feature_maps(network, x)
    with torch.no_grad():
        expected = network[0](x[None])[0]
    assert (first.layer, last.layer) == ("0", "2")
    assert first.channels == (0, 1, 2)
    assert torch.allclose(torch.from_numpy(first.maps), expected, atol=1e-6)
    assert (first.maps < 0).any(), "the ReLU that works in place must not reach the kept maps"


def test_the_most_varying_channels_are_kept_in_order():
    network = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False))
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([0.0, 3.0, 1.0, 2.0]).reshape(4, 1, 1, 1)
    (found,) = feature_maps(network, torch.rand(1, 6, 6), limit=2)
    assert found.channels == (1, 3)
    assert found.total == 4
    assert found.note == "4 channels of 6 x 6; the 2 that vary most"


def test_asked_layers_only_and_unknown_ones_refused():
    network = small("unet")
    x = torch.rand(1, 16, 24)
    assert [one.layer for one in feature_maps(network, x, ["decoder.0"])] == ["decoder.0"]
    with pytest.raises(HilumError, match=r"no layer 'encoder\.9'.*did you mean 'encoder\.\d'.*decoder\.1"):
        feature_maps(network, x, ["encoder.9"])


@pytest.mark.parametrize("name", models.names())
def test_every_network_shows_its_layers(name):
    network = small(name)
    sides = SIZES.get(name, (13, 18))
    found = feature_maps(network, torch.rand(1, *sides), limit=3)
    assert [one.layer for one in found] == feature_layers(network)
    for one in found:
        assert one.maps.ndim == 3
        assert one.maps.shape[0] == min(3, one.total)
        assert all(part <= side for part, side in zip(one.maps.shape[1:], sides, strict=True))


@pytest.mark.parametrize("name", ["unet", "resnet"])
def test_volumes(name):
    network = models.create(name, 1, 1, width=4, dims=3, **({"depth": 1} if name == "unet" else {}))
    assert all(one.maps.ndim == 4 for one in feature_maps(network, torch.rand(1, 8, 12, 12)))
