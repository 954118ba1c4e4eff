def test_export_writes_a_bundle_that_predict_takes(command, phantom_run, phantom_study, tmp_path):
    done = command("export", phantom_run.folder, "--format", "bundle", "--out", tmp_path / "run.zip")
    assert done.code == 0
    assert str(tmp_path / "run.zip") in done.out
    done = command("predict", tmp_path / "run.zip", phantom_study / "pred", "--out", tmp_path / "p")
    assert done.code == 0, done.err


def test_a_bundle_goes_into_an_empty_folder(command, phantom_run, tmp_path):
    done = command("export", phantom_run.folder, "--format", "bundle", "--out", tmp_path)
    assert done.code == 0, done.err
    assert [path.name for path in tmp_path.iterdir()] == [f"{phantom_run.folder.name}.zip"]


def test_an_unknown_format_is_one_line(command, phantom_run):
    done = command("export", phantom_run.folder, "--format", "onxx")
    assert done.code == 1
    assert "did you mean 'onnx'" in done.err


def test_a_missing_package_says_what_to_type(command, phantom_run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    done = command("export", phantom_run.folder, "--format", "onnx")
    assert done.code == 1
    assert "pip install 'hilum[export]'" in done.err
