import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import hilum
from hilum.errors import HilumError
from hilum.exchange import bioimageio_package
from hilum.exchange.answer import entry_of
from hilum.exchange.bioimageio_package import _BY_VOLUME, _by_volume, _given, _numbers, _steps, _write_tensors
from hilum.image.arrays import load_array
from hilum.planning.plan import Plan
from hilum.study.study import Case, Source


def test_versions_that_do_not_fit_are_told(monkeypatch):
    pytest.importorskip("bioimageio.spec")
    found = {"bioimageio.spec": "0.5.12.0", "pydantic": "2.14.3"}
    monkeypatch.setattr(bioimageio_package, "version", found.__getitem__)
    with pytest.raises(HilumError, match=r"pip install 'hilum\[bioimageio\]'"):
        bioimageio_package._check_versions()
    found["pydantic"] = "2.13.5"
    bioimageio_package._check_versions()
    assert _numbers("2.14.0b1") == (2, 14, 0)


def run_of(tmp_path, shape, **data):
    """A run normalised by image, as far as its package looks at it; its one case is of a shape."""
    np.save(tmp_path / "case.npy", np.zeros(shape, np.uint8))
    plan = Plan()
    plan.data = plan.data.model_copy(update={"channels": 1, "normalise": "image", **data})
    study = SimpleNamespace(cases=(Case("case", Source(tmp_path / "case.npy")),))
    return SimpleNamespace(plan=plan, study=study)


@pytest.mark.parametrize(
    ("shape", "data", "outside"),
    [
        ((12, 20, 24), {"neighbours": 2}, True),
        ((12, 20, 24), {}, True),
        ((20, 24), {}, False),
        ((12, 20, 24), {"dims": 3}, False),
        ((12, 20, 24), {"neighbours": 2, "normalise": "study"}, False),
    ],
    ids=["2.5D", "slice by slice", "flat", "3D", "by study"],
)
def test_a_volume_that_goes_by_slices_is_normalised_outside(tmp_path, shape, data, outside):
    """A step of the package sees slabs: their mean and spread are not those of the volume."""
    run = run_of(tmp_path, shape, **data)
    assert _by_volume(run) is outside
    assert len(_BY_VOLUME) <= 128, "the format allows no more"
    left = _given(run)
    assert _steps(None, left) == [] if outside else left == run.plan.data
    entry = entry_of(run.plan, 4)
    _write_tensors(tmp_path, lambda x: 2 * x, entry, left)
    given, found = (load_array(tmp_path / f"{name}.npy") for name in ("input", "output"))
    if outside:
        assert np.array_equal(found, 2 * given)
    elif left.normalise == "image":
        assert abs(given.mean()) > 50
        assert abs(found.mean()) < 0.01


@pytest.mark.slow
def test_the_package_passes_the_test_of_bioimageio_core(plain_run, tmp_path):
    core = pytest.importorskip("bioimageio.core")
    try:
        bioimageio_package._check_versions()
    except HilumError as error:
        pytest.skip(str(error))
    done = hilum.export(plain_run.folder, "bioimageio", tmp_path / "model.zip")
    with zipfile.ZipFile(done.path) as archive:
        assert {"model.onnx", "model.pt", "README.md", "model.json"} <= set(archive.namelist())
    assert core.test_model(done.path).status == "passed"


@pytest.mark.parametrize(("how", "axes"), [("image", ["channel", "y", "x"]), ("channel", ["y", "x"])])
def test_the_package_normalises_over_the_channels_or_each(tmp_path, how, axes):
    v = pytest.importorskip("bioimageio.spec.model.v0_5")
    run = run_of(tmp_path, (20, 24), normalise=how, channels=2)
    (told,) = _steps(v, _given(run))
    assert [str(axis) for axis in told.kwargs.axes] == axes
    _write_tensors(tmp_path, lambda x: x, entry_of(run.plan, 4), _given(run))
    given, found = (load_array(tmp_path / f"{name}.npy") for name in ("input", "output"))
    over = tuple(range(2 if how == "channel" else 1, 4))
    wanted = (given - given.mean(over, keepdims=True)) / (given.std(over, keepdims=True) + told.kwargs.eps)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_slices_of_several_channels_are_normalised_outside_too(tmp_path):
    assert _by_volume(run_of(tmp_path, (12, 20, 24), normalise="channel", neighbours=2))
