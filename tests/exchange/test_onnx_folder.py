import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hilum
from hilum.errors import HilumError
from hilum.exchange import parity
from hilum.exchange.answer import Entry
from hilum.image.readers import read_image

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
