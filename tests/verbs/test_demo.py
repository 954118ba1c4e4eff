import pytest

import hilum
from hilum.errors import RunError
from hilum.verbs import demo as module


def test_a_short_demo_walks_the_whole_road(tmp_path, monkeypatch):
    """The clock is not waited for: where time is too short for any training, the fewest steps are taken."""
    monkeypatch.setattr(module, "_half_size", lambda kind: (96, 128))
    monkeypatch.setattr(module, "FEWEST_STEPS", 2)
    made = hilum.demo(tmp_path / "demo", minutes=0.001)
    assert (made.run.folder / "report.html").is_file()
    assert made.run.plan.training.steps == 2
    assert made.predictions.cases == 2
    assert list((made.predictions.out / "overlays").iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        hilum.demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
