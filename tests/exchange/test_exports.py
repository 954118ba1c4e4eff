import pytest

from hilum.errors import PlanError, RunError
from hilum.exchange.exports import find_export, names, place, place_file
from hilum.training.run import Run


def test_every_format_leads_to_a_function():
    assert all(callable(find_export(name)) for name in names())


def test_an_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(PlanError, match="did you mean 'onnx'"):
        find_export("onx")


def test_an_export_goes_into_the_run_or_to_a_new_place(tmp_path):
    run = Run(tmp_path / "run")
    assert place(run, None, "onnx") == tmp_path / "run" / "exports" / "onnx"
    assert place(run, tmp_path / "new", "onnx") == tmp_path / "new"
    assert place_file(run, tmp_path / "new.zip", "run.zip") == tmp_path / "new.zip"
    (tmp_path / "empty").mkdir()
    assert place_file(run, tmp_path / "empty", "run.zip") == tmp_path / "empty" / "run.zip"
    (tmp_path / "there.zip").write_text("x")
    with pytest.raises(RunError, match="is there already"):
        place(run, tmp_path / "there.zip", "onnx")
