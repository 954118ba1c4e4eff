import json
import shutil

import pytest

import hilum
from hilum.errors import StudyError
from hilum.phantoms.make import make_phantom


def test_scores_can_be_made_again_without_training(phantom_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    for path in (run / "evaluation").glob("*.*"):
        path.unlink()
    shutil.rmtree(run / "predictions")
    hilum.evaluate(run)
    assert json.loads((run / "evaluation" / "summary.json").read_text()) == phantom_run.summary()
    assert list((run / "predictions" / "masks").rglob("*.png"))


def test_another_labelled_folder_is_scored_by_all_folds_together(phantom_run, phantom_study, tmp_path):
    found = hilum.evaluate(phantom_run.folder, phantom_study, tmp_path / "out")
    assert found["targets"]["Parenchyma"]["dice"]["cases"] == 6
    assert (tmp_path / "out" / "evaluation" / "cases.csv").is_file()


def test_scores_of_what_was_trained_on_are_told_to_be_too_good(phantom_run, phantom_study, tmp_path, caplog):
    found = hilum.evaluate(phantom_run.folder, phantom_study, tmp_path / "out")
    assert len(found["trained_on"]) == 6
    assert "6 images of these were trained on" in caplog.text
    assert "hilum evaluate" in caplog.text
    written = json.loads((tmp_path / "out" / "evaluation" / "summary.json").read_text())
    assert written["trained_on"] == found["trained_on"]


def test_scores_of_other_images_are_not(phantom_run, tmp_path, caplog):
    other = make_phantom("histology", tmp_path / "other", cases=3, size=(96, 128), seed=9)
    found = hilum.evaluate(phantom_run.folder, other, tmp_path / "out")
    assert "trained_on" not in found
    assert "trained on" not in caplog.text


def test_a_folder_is_evaluated_as_often_as_one_likes(phantom_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    other = make_phantom("histology", tmp_path / "other", cases=3, size=(96, 128), seed=9)
    for _ in range(2):
        hilum.evaluate(run, other)
    assert sorted(path.name for path in (run / "evaluated").iterdir()) == ["other", "other-2"]


def test_a_run_is_evaluated_from_any_folder(phantom_study, quick, tmp_path, monkeypatch):
    shutil.copytree(phantom_study, tmp_path / "there" / "study")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    hilum.train("study", "run", steps=2, folds=2, settings=quick, device="cpu")
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = hilum.evaluate(tmp_path / "there" / "run")
    assert found["targets"]["Parenchyma"]["dice"]["cases"] == 6


def test_a_folder_without_labels_is_told_to_predict(phantom_run, phantom_study, tmp_path):
    with pytest.raises(StudyError, match="hilum predict"):
        hilum.evaluate(phantom_run.folder, phantom_study / "pred", tmp_path / "out")
