import importlib

import pytest

import hilum
from hilum.errors import RunError
from hilum.training.budget import FEWEST_STEPS, TimeTooShortError

module = importlib.import_module("hilum.verbs.demo")


def test_a_short_demo_walks_the_whole_road(tmp_path, monkeypatch, quick):
    """Where time is too short for any training, the fewest steps are taken; the clock is not waited for."""
    train, asked = module.train, []

    def impatient(study, out, minutes=None, **options):
        asked.append((minutes, options.get("steps"), options.get("folds")))
        if minutes is not None:
            raise TimeTooShortError("only 3 steps fit")
        return train(study, out, settings=quick, **{**options, "steps": 2})

    monkeypatch.setattr(module, "_half_size", lambda kind: (96, 128))
    monkeypatch.setattr(module, "train", impatient)
    made = hilum.demo(tmp_path / "demo", minutes=0.34)
    assert asked == [(0.34, None, 2), (None, FEWEST_STEPS, 2)]
    assert (made.run.folder / "report.html").is_file()
    assert made.predictions.cases == 2
    assert len(list((made.predictions.out / "overlays").iterdir())) == 2


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        hilum.demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_demo_of_scans_finds_nodules_in_scans_it_never_saw(tmp_path, monkeypatch, quick):
    train = module.train

    def brief(study, out, minutes=None, **options):
        settings = ("training.threads=1", "scoring.bootstrap=20", "detection.second=never", *quick[1:2])
        return train(study, out, settings=settings, **{**options, "steps": 2})

    monkeypatch.setattr(module, "_half_size", lambda kind: (24, 48, 48))
    monkeypatch.setattr(module, "train", brief)
    made = hilum.demo(tmp_path / "demo", kind="ct", minutes=0.5)
    assert made.run.plan.task == "detect"
    assert made.run.summary()["scans"] == 6
    page = (made.run.folder / "report.html").read_text()
    assert "Free-response ROC" in page
    assert "Nodules missed" in page
    new = {path.stem for path in (tmp_path / "demo" / "new").rglob("*.mhd")}
    assert len(new) == module.NEW_SCANS
    assert not new & {case.name for case in made.run.study.cases}
    submission = (made.predictions.out / "submission.csv").read_text().splitlines()
    assert submission[0] == "seriesuid,coordX,coordY,coordZ,probability"
    assert {line.split(",")[0] for line in submission[1:]} <= new
