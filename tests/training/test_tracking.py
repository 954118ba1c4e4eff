import math
import sys
from types import SimpleNamespace

import pytest

from hilum.errors import HilumError, PlanError
from hilum.training.loop import Progress
from hilum.training.tracking import tracked

ROW = Progress(1, 20, 40, {"step": 20, "loss": 0.5, "dice_a": math.nan})


def test_nothing_asked_for_changes_nothing(tmp_path):
    assert tracked(None, None, tmp_path) is None
    with pytest.raises(PlanError, match="tensorboard, mlflow"):
        tracked(None, "wandb", tmp_path)


@pytest.mark.parametrize(("name", "extra"), [("tensorboard", "track"), ("mlflow", "mlflow")])
def test_a_missing_package_says_what_to_type(name, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HilumError, match=rf"pip install 'hilum\[{extra}\]'"):
        tracked(None, name, tmp_path)


def test_tensorboard_gets_finite_scalars_by_fold(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = []
    watch = tracked(seen.append, "tensorboard", tmp_path)
    watch(ROW)
    assert seen == [ROW]
    events = EventAccumulator(str(tmp_path / "tracking" / "fold-1"))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(20, 0.5)]


def test_mlflow_gets_one_run_with_the_fold_in_the_name(tmp_path, monkeypatch):
    told = []
    fake = SimpleNamespace(
        exceptions=SimpleNamespace(MlflowException=ValueError),
        set_experiment=lambda name: None,
        start_run=lambda run_name: SimpleNamespace(info=SimpleNamespace(run_id="7")),
        log_metric=lambda key, value, step, run_id: told.append((key, value, step, run_id)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    watch = tracked(None, "mlflow", tmp_path)
    watch(ROW)
    assert told == [("fold_1_loss", 0.5, 20, "7")]


def test_a_store_that_refuses_is_told_in_one_line(tmp_path, monkeypatch):
    class MlflowError(Exception):
        pass

    def refuse(name):
        raise MlflowError("the server is away\nand more of it")

    fake = SimpleNamespace(
        set_experiment=refuse,
        get_tracking_uri=lambda: "http://nowhere",
        exceptions=SimpleNamespace(MlflowException=MlflowError),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    with pytest.raises(
        HilumError, match=r"http://nowhere .*the server is away\).*MLFLOW_TRACKING_URI"
    ) as told:
        tracked(None, "mlflow", tmp_path)
    assert "\n" not in str(told.value)
