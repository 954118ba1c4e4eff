"""Runs to hand on."""

import pytest


@pytest.fixture(scope="session")
def plain_run(phantom_study, quick, tmp_path_factory):
    """A trained run without light correction, so that a few lines of NumPy can prepare its images."""
    import hilum

    out = tmp_path_factory.mktemp("plain-run") / "run"
    settings = (*quick, "data.flatten_light=false", "model.settings.depth=2", "data.downsample=2")
    settings = (*settings, "training.precision=32-true")
    return hilum.train(phantom_study, out, steps=20, folds=2, settings=settings, device="cpu")


@pytest.fixture(scope="session")
def onnx_export(plain_run, tmp_path_factory):
    """The same run as ONNX."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    import hilum

    return hilum.export(plain_run.folder, "onnx", tmp_path_factory.mktemp("onnx") / "out")
