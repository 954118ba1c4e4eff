import json
import shutil

import pytest

import hilum
from hilum.errors import StudyError


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


def test_a_folder_without_labels_is_told_to_predict(phantom_run, phantom_study, tmp_path):
    with pytest.raises(StudyError, match="hilum predict"):
        hilum.evaluate(phantom_run.folder, phantom_study / "pred", tmp_path / "out")
