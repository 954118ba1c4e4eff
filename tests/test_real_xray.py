"""The X-ray sets at hand: what is found in them, and that a minute of training tells the classes apart."""

import pytest

import hilum
from hilum.study.inspection import inspect
from hilum.study.open import open_study
from hilum.study.splits import make_folds

pytestmark = pytest.mark.real


def test_the_shortcut_of_the_full_size_images_is_told_in_capitals(data):
    found = [f for f in inspect(data / "cxr_full").study.findings if f.message.startswith("SHORTCUT")]
    (warning,) = found
    assert warning.severity == "warning"
    assert "image size" in warning.message
    assert "file size" in warning.message


def test_patients_in_both_given_splits_are_regrouped(data):
    study = open_study(data / "cxr_224", thorough=False)
    splits = make_folds(study)
    assert (splits.by, len(splits.folds)) == ("group", 5)
    group = {case.name: case.group for case in study.cases}
    for fold in splits.folds:
        assert not {group[name] for name in fold.train} & {group[name] for name in fold.test}


@pytest.mark.slow
def test_a_short_training_on_the_official_split(data, tmp_path):
    settings = ("training.threads=1", "scoring.bootstrap=100")
    run = hilum.train(data / "pneumoniamnist", tmp_path / "run", steps=150, settings=settings)
    summary = run.summary()
    assert summary["auc"]["cases"] == 624
    assert summary["operating_point"]["chosen_on"]["cases"] == 524
    assert summary["auc"]["value"] > 0.9
