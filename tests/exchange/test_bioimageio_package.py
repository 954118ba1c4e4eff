import zipfile

import pytest

import hilum
from hilum.errors import HilumError
from hilum.exchange import bioimageio_package
from hilum.exchange.bioimageio_package import _numbers


def test_versions_that_do_not_fit_are_told(monkeypatch):
    pytest.importorskip("bioimageio.spec")
    found = {"bioimageio.spec": "0.5.12.0", "pydantic": "2.14.3"}
    monkeypatch.setattr(bioimageio_package, "version", found.__getitem__)
    with pytest.raises(HilumError, match=r"pip install 'hilum\[bioimageio\]'"):
        bioimageio_package._check_versions()
    found["pydantic"] = "2.13.5"
    bioimageio_package._check_versions()
    assert _numbers("2.14.0b1") == (2, 14, 0)


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
