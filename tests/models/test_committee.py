import torch
from torch import nn

from hilum.models import create
from hilum.models.committee import Committee
from hilum.models.features import feature_layers


def linear(value):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_members_answer_with_the_mean_of_their_logits():
    together = Committee([linear(1.0), linear(3.0)]).eval()
    assert together(torch.tensor([[2.0]])).item() == 4.0


def test_each_member_learns_from_its_own_part_of_the_batch():
    together = Committee([linear(1.0), linear(3.0)]).train()
    out = together(torch.ones(5, 1))
    assert out.flatten().tolist() == [1, 1, 1, 3, 3]
    out[:3].sum().backward()
    assert together.networks[0].weight.grad is not None
    assert float(together.networks[1].weight.grad.abs().sum()) == 0


def test_layers_are_named_by_member():
    together = Committee([create("resnet", 1, 1, width=4, blocks=(1, 1)) for _ in range(2)])
    names = feature_layers(together)
    assert names[0] == "networks.0.stem"
    assert all(together.get_submodule(name) is not None for name in names)
