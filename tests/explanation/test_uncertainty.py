import numpy as np
import pytest
import torch
from torch import nn

from hilum.errors import HilumError
from hilum.explanation.uncertainty import binary_entropy, members, uncertainty
from hilum.inference.predictor import make_predictor
from hilum.planning.plan import Plan


class Says(nn.Module):
    """Says one probability everywhere, or for the whole image."""

    def __init__(self, probability, whole=False):
        super().__init__()
        self.logit = nn.Parameter(torch.logit(torch.tensor(probability)))
        self.whole = whole

    def forward(self, x):
        return self.logit + (torch.zeros(len(x), 1) if self.whole else torch.zeros_like(x[:, :1]))


def plan(**inference):
    made = Plan()
    made.data.outputs = ["a"]
    for key, value in inference.items():
        setattr(made.inference, key, value)
    return made


X = torch.rand(1, 6, 8)


def test_entropy_against_hand_worked_values():
    found = binary_entropy(torch.tensor([0.5, 0.25, 1e-9, 1.0]))
    assert torch.allclose(found, torch.tensor([1.0, 0.811278, 0.0, 0.0]), atol=1e-5)


def test_all_sure_and_agreed():
    found = uncertainty([Says(0.9999), Says(0.9999)], X, plan())
    assert found.members == 2
    assert found.score < 0.01
    assert found.disagreement.max() < 1e-6


def test_contradiction_is_disagreement():
    found = uncertainty([Says(0.9999), Says(0.0001)], X, plan())
    assert found.score == pytest.approx(1.0, abs=1e-4)
    assert found.disagreements[0] == pytest.approx(1.0, abs=0.01)


def test_agreed_doubt_is_no_disagreement():
    found = uncertainty([Says(0.5), Says(0.5)], X, plan())
    assert found.score == pytest.approx(1.0)
    assert found.disagreement.max() == pytest.approx(0.0, abs=1e-6)


def test_a_sure_background_does_not_hide_an_unsure_target():
    network = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        network.weight[:] = 30.0
        network.bias[:] = -30.0
    x = torch.zeros(1, 40, 40)
    x[0, :3, :3] = 1.0
    found = uncertainty([network], x, plan())
    assert found.entropy.mean() < 0.01
    assert found.score > 0.99


def test_of_a_classifier_one_value_an_output():
    found = uncertainty([Says(0.9, whole=True), Says(0.7, whole=True)], X, plan())
    assert found.probability.shape == (1,)
    assert found.probability[0] == pytest.approx(0.8)
    assert found.score == pytest.approx(0.721928, abs=1e-4)
    assert 0 < found.disagreements[0] < 0.1


def test_mirrored_copies_are_members_and_their_mean_is_the_prediction():
    torch.manual_seed(0)
    networks = [nn.Conv2d(1, 1, 3, padding=1).eval() for _ in range(2)]
    made = plan(flips=["x", "y"])
    assert len(list(members(networks, X, made))) == 8
    found = uncertainty(networks, X, made)
    assert found.members == 8
    assert found.disagreement.max() > 0
    assert np.allclose(found.probability, make_predictor(networks, made).prepared(X), atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 6, 8), (1, 5, 6, 8)])
def test_copies_of_slices_are_not_mirrored_in_depth(shape):
    """An image has no "z"; a volume looked at slice by slice is predicted without mirroring it."""
    torch.manual_seed(0)
    x, network = torch.rand(shape), nn.Conv2d(3, 1, 3, padding=1).eval()
    made = plan(flips=["x", "z"])
    made.data.neighbours = len(shape) - 3
    found = uncertainty([network], x, made)
    assert found.members == 2
    assert np.allclose(found.probability, make_predictor([network], made).prepared(x), atol=1e-6)


def test_an_ensemble_needs_members():
    with pytest.raises(HilumError, match="at least one network"):
        uncertainty([], X, plan())
