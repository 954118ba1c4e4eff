import json

import numpy as np
import pytest
import torch

from hilum import models
from hilum.exchange.answer import Answer, Entry, entry_of
from hilum.exchange.graphs import logits_of, write_onnx, write_program, write_torchscript
from hilum.planning.plan import Plan
from hilum.training.losses import activate
from networks import SMALL

MASKED = ("unet", "lung-histology-2018", "ultrasound-nerve-2016", "nodule-2017", "medical-256-2018")


def plan_of(name, **data):
    plan = Plan()
    plan.data.outputs, plan.data.channels = ["a", "b"], 3
    plan.model.name, plan.model.settings = name, json.loads(json.dumps(SMALL[name]))
    for key, value in data.items():
        setattr(plan.data, key, value)
    return plan


def answer_of(plan, folds=2):
    torch.manual_seed(0)
    made = [models.create(plan.model.name, 3, 2, **plan.model.settings) for _ in range(folds)]
    return Answer(made, plan).eval()


def inputs(entry):
    """Images of the example's size and of another, one and several at once."""
    other = entry.size or tuple(2 * side for side in entry.example().shape[2:])
    yield entry.example()
    yield torch.randn(1, entry.channels, *other)


def check(path, answer, entry):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path))
    for x in inputs(entry):
        with torch.inference_mode():
            wanted = answer(x).numpy()
        (found,) = session.run(None, {"image": x.numpy()})
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-3


def size_of(name):
    return None if name in MASKED else [64, 64] if name == "xray-cnn-2020" else [40, 48]


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_network_as_onnx_answers_within_a_thousandth(name, tmp_path):
    pytest.importorskip("onnxscript")
    plan = plan_of(name, size=size_of(name))
    answer = answer_of(plan)
    entry = entry_of(plan, answer.divisor)
    write_onnx(tmp_path / "model.onnx", answer, entry)
    check(tmp_path / "model.onnx", answer, entry)


@pytest.mark.parametrize("name", models.names())
def test_every_network_as_torchscript_answers_alike(name, tmp_path):
    plan = plan_of(name, size=size_of(name))
    answer = answer_of(plan, folds=1)
    entry = entry_of(plan, answer.divisor)
    write_torchscript(tmp_path / "model.pt", answer, entry)
    loaded = torch.jit.load(str(tmp_path / "model.pt"))
    for x in inputs(entry):
        with torch.inference_mode():
            assert torch.allclose(loaded(x), answer(x), atol=1e-4)


def test_a_network_as_torch_export_answers_alike(tmp_path):
    plan = plan_of("ultrasound-nerve-2016")
    answer = answer_of(plan, folds=1)
    entry = entry_of(plan, answer.divisor)
    write_program(tmp_path / "model.pt2", answer, entry)
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for x in inputs(entry):
        assert torch.allclose(loaded(x), answer(x), atol=1e-4)


def test_moved_copies_are_part_of_the_graph():
    plan = plan_of("resnet", size=[40, 48])
    plan.inference.moves = True
    answer = answer_of(plan)
    entry = entry_of(plan, answer.divisor)
    assert answer(entry.example()).shape == (2, 2)
    assert entry == Entry(3, 2, 1, (40, 48))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "softmax+background"])
def test_logits_give_their_probabilities_back(activation):
    wanted = activate(torch.randn(2, 3, 4, 5), activation)
    assert torch.allclose(activate(logits_of(wanted, activation), activation), wanted, atol=1e-5)
