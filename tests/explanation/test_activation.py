import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hilum import models
from hilum.errors import HilumError
from hilum.explanation.activation import activation_layer, class_activation
from hilum.models.features import feature_layers

SIZES = {"xray-cnn-2020": (20, 20)}
SETTINGS = {
    "unet": {"width": 4, "depth": 2},
    "link-unet": {"width": 4, "depth": 2},
    "resnet": {"width": 4},
    "xray-cnn-2020": {"widths": (4, 6, 8, 8), "size": 20, "dense": 8},
}


class WhereNetwork(nn.Module):
    """Logit 0 is how much of channel 0 there is, logit 1 of channel 1."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.conv.weight[:] = torch.eye(2).reshape(2, 2, 1, 1)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


def small(name):
    torch.manual_seed(0)
    return models.create(name, 1, 2, **SETTINGS.get(name, {"widths": (4, 6, 8)})).eval()


def two_spots():
    x = torch.zeros(2, 16, 16)
    x[0, 2:5, 2:5] = 1
    x[1, 10:14, 9:12] = 1
    return x


@pytest.mark.parametrize("output", [0, 1])
def test_heat_lies_exactly_where_the_evidence_is(output):
    x = two_spots()
    heat = class_activation(WhereNetwork(), x, output)
    assert np.array_equal(heat, x[output].numpy())


def test_evidence_against_is_no_heat(corner):
    x = torch.rand(1, 16, 16)
    assert class_activation(corner, x, 0).max() == 1
    assert not class_activation(corner, x, 1).any()


def test_of_a_segmenter_only_the_logits_inside_the_mask_count():
    network = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False))
    with torch.no_grad():
        network[0].weight[:] = torch.eye(2).reshape(2, 2, 1, 1)
        network[1].weight[:] = 1.0
    x = two_spots()
    where = np.zeros((16, 16), bool)
    everywhere = class_activation(network, x, 0, "0")
    assert np.array_equal(everywhere > 0, (x.sum(0) > 0).numpy())
    assert not class_activation(network, x, 0, "0", where).any()


def test_padding_is_cut_off_and_in_place_layers_are_no_matter(segmenter):
    x = torch.zeros(1, 9, 14)
    x[0, :3, :3] = 1
    heat = class_activation(segmenter, x, 0)
    assert heat.shape == (9, 14)
    assert np.array_equal(heat, x[0].numpy())


@pytest.mark.parametrize("place", [0, 1, -1])
def test_agrees_with_monai(place):
    from monai.visualize import GradCAM

    network = small("resnet")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    name = feature_layers(network)[place]
    x = torch.rand(1, 24, 20, generator=torch.Generator().manual_seed(3))
    for output in (0, 1):
        ours = class_activation(network, x, output, name)
        reference = GradCAM(copy.deepcopy(network), name, postprocessing=lambda heat: heat)(
            x[None], class_idx=output
        )
        reference = (reference / reference.max().clamp(min=1e-12))[0, 0].detach().numpy()
        assert np.abs(ours - reference).max() < 1e-4


def test_agrees_with_monai_inside_a_mask():
    from monai.visualize import GradCAM

    class Masked(nn.Module):
        def __init__(self, net, where):
            super().__init__()
            self.net, self.where = net, where

        def forward(self, x):
            return (self.net(x) * self.where).sum((2, 3))

    network = small("unet")
    where = torch.zeros(16, 24)
    where[4:12, 6:20] = 1
    x = torch.rand(1, 16, 24, generator=torch.Generator().manual_seed(3))
    strongest = 0.0
    for layer, output in itertools.product(("encoder.1", "decoder.0", "decoder.1"), (0, 1)):
        ours = class_activation(network, x, output, layer, where.bool().numpy())
        cam = GradCAM(Masked(copy.deepcopy(network), where), f"net.{layer}", postprocessing=lambda heat: heat)
        reference = cam(x[None], class_idx=output)
        reference = (reference / reference.max().clamp(min=1e-12))[0, 0].detach().numpy()
        strongest = max(strongest, reference.max())
        assert np.abs(ours - reference).max() < 1e-4
    assert strongest == 1


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_grad_cam_at_every_layer(name):
    network = small(name)
    x = torch.rand(1, *SIZES.get(name, (13, 18)))
    before = [parameter.clone() for parameter in network.parameters()]
    assert activation_layer(network, x) in feature_layers(network)
    for layer in [None, *feature_layers(network)]:
        heat = class_activation(network, x, 1, layer)
        assert heat.shape == x.shape[1:]
        assert np.isfinite(heat).all()
        assert heat.min() >= 0
        assert heat.max() <= 1
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_frozen_networks_and_volumes():
    network = models.create("unet", 1, 1, dims=3, width=4, depth=1).requires_grad_(False)
    assert class_activation(network, torch.rand(1, 8, 12, 10), 0).shape == (8, 12, 10)


def test_the_last_layer_that_still_says_where():
    layers = feature_layers(small("xray-cnn-2020"))
    assert activation_layer(small("xray-cnn-2020"), torch.rand(1, 20, 20)) == layers[1]
    assert activation_layer(small("unet"), torch.rand(1, 40, 40)) == "decoder.1"
    assert activation_layer(small("unet"), torch.rand(1, 4, 4)) == "decoder.1"


def test_errors_name_what_there_is(corner):
    x = torch.rand(1, 16, 16)
    with pytest.raises(HilumError, match=r"no layer 'cnv'.*did you mean 'conv'"):
        class_activation(corner, x, 0, "cnv")
    with pytest.raises(HilumError, match="outputs 0 to 1"):
        class_activation(corner, x, 2)
    with pytest.raises(HilumError, match="no layer whose output is a map"):
        activation_layer(nn.Sequential(nn.Flatten(), nn.Linear(256, 1)), x)


def test_unused_layers_have_no_heat():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            self.conv(x)
            return F.adaptive_avg_pool2d(x, 1).flatten(1) + 0 * self.conv.bias

    assert not class_activation(Idle(), torch.rand(1, 8, 8), 0).any()
