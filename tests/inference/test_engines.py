"""Engines in PyTorch's place: the same answers from every network, and nothing told to anybody."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from hilum import models
from hilum.errors import HilumError
from hilum.inference.engines import ENGINES, by_openvino
from hilum.inference.predictor import make_predictor
from hilum.planning.plan import Plan
from networks import SMALL


def plan_of(name, dims=2):
    plan = Plan()
    plan.data.outputs, plan.data.channels, plan.data.dims = ["a", "b"], 3, dims
    plan.model.name, plan.model.settings = name, {**SMALL[name], **({"dims": 3} if dims == 3 else {})}
    plan.training.patch = [8, 16, 16] if dims == 3 else [64, 64]
    plan.training.precision = "32-true"
    return plan


def network_of(plan):
    torch.manual_seed(0)
    return models.create(plan.model.name, 3, 2, **plan.model.settings).eval()


def inputs(plan):
    """Images of the size that was followed, and of others where the network takes them."""
    yield torch.randn(2, 3, *plan.training.patch)
    if plan.model.name != "xray-cnn-2020":
        yield torch.randn(3, 3, *(2 * side for side in plan.training.patch))


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_every_network_answers_as_in_pytorch(name, engine):
    plan = plan_of(name)
    network = network_of(plan)
    found = engine(network, plan)
    for x in inputs(plan):
        with torch.inference_mode():
            wanted = network(x)
            assert torch.allclose(found(x), wanted, atol=1e-3)
    assert getattr(found, "divisor", 1) == getattr(network, "divisor", 1)


def test_a_network_of_volumes():
    plan = plan_of("unet", dims=3)
    network = network_of(plan)
    found = by_openvino(network, plan)
    for x in inputs(plan):
        with torch.inference_mode():
            assert torch.allclose(found(x), network(x), atol=1e-3)


def test_it_predicts_tiles_and_mirrored_copies_in_the_network_s_place():
    plan = plan_of("link-unet")
    plan.inference.flips, plan.inference.tile = ["x", "y"], [48, 48]
    network = network_of(plan)
    x = torch.randn(3, 70, 91)
    wanted = make_predictor([network, network], plan).prepared(x)
    found = make_predictor([by_openvino(network, plan)] * 2, plan).prepared(x)
    assert found.shape == (2, 70, 91)
    assert np.abs(found - wanted).max() < 1e-4


def test_an_answer_stays_when_the_next_one_comes():
    plan = plan_of("resnet")
    found = by_openvino(network_of(plan), plan)
    first = found(torch.zeros(1, 3, 48, 48))
    kept = first.clone()
    found(torch.randn(1, 3, 48, 48))
    assert torch.equal(first, kept)


def test_what_cannot_be_followed_is_named():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.from_numpy(np.linalg.inv(x.numpy()))

    with pytest.raises(HilumError, match=r"OpenVINO cannot compute unet .*--device cpu"):
        by_openvino(Odd(), plan_of("unet"))


def test_nothing_is_told_to_the_makers_of_openvino():
    """In a fresh interpreter: the package that sends is never loaded."""
    code = """
import sys
import torch
from hilum.inference.engines import by_openvino
from hilum.planning.plan import Plan
plan = Plan()
plan.data.channels, plan.training.patch = 3, [32, 32]
by_openvino(torch.nn.Conv2d(3, 1, 1), plan)
loaded = [name for name, module in sys.modules.items() if "telemetry" in name and module is not None]
assert not [name for name in loaded if name.startswith("openvino_telemetry")], loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_missing_engine_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(HilumError, match=r"pip install 'hilum\[openvino\]'"):
        by_openvino(network_of(plan_of("unet")), plan_of("unet"))
