import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hilum
from hilum import models
from hilum.errors import HilumError
from hilum.exchange import onnx_folder, parity
from hilum.exchange.answer import Answer, Entry, entry_of
from hilum.image.readers import read_image
from hilum.planning.plan import Plan
from hilum.tasks.second_stage import make_second, second_plan
from hilum.training.state import save_tensors

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "onnx_alone.py"


def test_the_export_says_how_to_use_it_and_that_it_was_checked(onnx_export, plain_run):
    model = json.loads((onnx_export.path / "model.json").read_text())
    assert model["outputs"] == plain_run.plan.data.outputs
    assert model["parity"]["largest_difference"] <= parity.TOLERANCE
    assert model["before"]["downsample"] == 2
    assert set(model["after"]["thresholds"]) == set(model["outputs"])
    names = {case.name for case in plain_run.study.cases}
    assert not any(name in json.dumps(model) for name in names), "exports name no case"


def test_the_example_of_the_docs_gives_the_masks_of_the_run(onnx_export, plain_run, phantom_study, tmp_path):
    image = next(path for path in sorted((phantom_study / "pred").rglob("*")) if path.is_file())
    hilum.predict(plain_run.folder, image, tmp_path / "hilum", overlays=False, device="cpu")
    (tmp_path / "alone").mkdir()
    words = [sys.executable, str(EXAMPLE), str(onnx_export.path), str(image), str(tmp_path / "alone")]
    subprocess.run(words, check=True, timeout=60)
    for target in plain_run.plan.data.outputs:
        (wanted,) = (tmp_path / "hilum" / "masks" / target).iterdir()
        same = read_image(wanted).array > 0
        found = read_image(tmp_path / "alone" / f"{target}.png").array > 0
        assert found.shape == same.shape
        assert np.mean(found == same) > 0.995
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len(lines) <= 48


def test_a_network_that_answers_otherwise_is_not_exported(plain_run):
    networks = [hilum.training.run.load_network(plain_run, 0)]
    other = hilum.training.run.load_network(plain_run, 1)
    with pytest.raises(HilumError, match="differs from the run"):
        parity.check_parity(plain_run, networks, other, Entry(3, 2, networks[0].divisor))


def test_without_images_noise_is_compared(plain_run, monkeypatch):
    def gone(case):
        raise HilumError("gone")

    monkeypatch.setattr(parity, "read_case_image", gone)
    name, noise = parity.sample_input(plain_run, Entry(3, 2, 8))
    assert name.startswith("noise")
    assert noise.shape[0] == 3


def test_noise_has_the_channels_of_slices_with_their_neighbours(tmp_path):
    plan = Plan()
    plan.data.outputs, plan.data.channels, plan.data.neighbours = ["a"], 1, 1
    plan.model.settings, plan.training.patch = {"width": 4, "depth": 2}, [32, 32]
    network = models.create("unet", 3, 1, **plan.model.settings).eval()
    entry = entry_of(plan, Answer([network], plan).divisor)
    run = SimpleNamespace(plan=plan, study=SimpleNamespace(cases=()), folder=tmp_path)
    found = parity.check_parity(run, [network], network, entry)
    assert found.difference == 0
    assert found.image.startswith("noise")


@pytest.fixture
def detector(tmp_path):
    """What of a detector's run its second classifiers need, two of them."""
    plan = Plan(task="detect")
    plan.data.outputs, plan.data.channels, plan.data.normalise = ["nodule"], 1, "window"
    plan.data.window, plan.data.mean, plan.data.std = [-1000.0, 400.0], [0.25], [0.3]
    plan.detection.cube, plan.detection.width = 16, 4
    torch.manual_seed(0)
    for fold in range(2):
        second = second_plan(plan)
        second.training.seed = fold
        (tmp_path / f"fold-{fold}").mkdir()
        save_tensors(tmp_path / f"fold-{fold}" / "second.safetensors", make_second(second).state_dict(), {})
    return SimpleNamespace(
        plan=plan, folder=tmp_path, fold=lambda at: tmp_path / f"fold-{at}", trained_folds=lambda: [0, 1]
    )


def test_a_second_classifier_says_how_it_is_used_and_is_compared(detector, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    second = json.loads(json.dumps(onnx_folder._second(detector, tmp_path / "second.onnx")))
    assert (tmp_path / "second.onnx").is_file()
    assert (second["model"], second["cube"], second["mm"]) == ("second.onnx", 16, 1.0)
    assert second["inference"]["flips"] == ["x", "y", "z"]
    assert (second["before"]["normalise"], second["before"]["window"]) == ("window", [-1000.0, 400.0])
    assert "log odds" in second["combined"]
    assert second["parity"]["largest_difference"] <= parity.TOLERANCE


def test_a_second_classifier_that_answers_otherwise_is_not_exported(detector):
    plan = second_plan(detector.plan)
    one, other = make_second(plan), make_second(plan)
    with torch.no_grad():
        [*other.parameters()][-1].add_(1)
    with pytest.raises(HilumError, match=r"second classifier differs.*nothing was exported"):
        parity.check_noise([one], other, plan, Entry(1, 3, 1, (16, 16, 16)))


def test_a_detector_without_second_classifier_exports_none(detector, tmp_path):
    detector.plan.detection.second = "never"
    assert onnx_folder._second(detector, tmp_path / "second.onnx") is None
