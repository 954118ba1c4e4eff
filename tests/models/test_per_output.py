import torch

from hilum import models
from hilum.models.per_output import PerOutput


def test_outputs_lie_side_by_side_and_share_nothing():
    parts = [models.create("ultrasound-nerve-2016", 1, widths=(4, 8)) for _ in range(3)]
    network = PerOutput(parts)
    x = torch.rand(2, 1, 8, 8)
    y = network(x)
    assert y.shape == (2, 3, 8, 8)
    assert network.divisor == 2
    for index, part in enumerate(parts):
        assert torch.equal(y[:, index : index + 1], part(x))
    y[:, 1].sum().backward()
    assert not any(value.grad is not None and value.grad.any() for value in parts[0].parameters())
    assert all(value.grad is not None for value in parts[1].parameters())


def test_feature_layers_name_modules():
    network = PerOutput([models.create("ultrasound-nerve-2016", 1, widths=(4, 8)) for _ in range(2)])
    assert network.feature_layers()
    for name in network.feature_layers():
        network.get_submodule(name)
