import os
import signal
from pathlib import Path

import numpy as np
import pytest

import hilum
from hilum.cluster import worker as worker_module
from hilum.cluster.predict import predict
from hilum.cluster.session import session
from hilum.cluster.worker import CaseWorker
from hilum.errors import HilumError
from hilum.exchange.bundle import export
from hilum.image.readers import read_image
from hilum.study.study import Case, Source
from hilum.tasks.task import Delivery


@pytest.fixture(scope="module")
def pictures(phantom_study):
    return [path for path in sorted((phantom_study / "pred").rglob("*")) if path.is_file()]


def same_masks(one, other):
    paths = sorted((one / "masks").rglob("*.png"))
    assert paths
    for path in paths:
        found = read_image(other / path.relative_to(one)).array
        assert np.mean(read_image(path).array == found) > 0.999


def test_a_worker_hands_rows_and_files_back_and_outlives_bad_cases(
    phantom_run, pictures, tmp_path, monkeypatch
):
    content = export(phantom_run, tmp_path / "run.zip").path.read_bytes()
    worker = CaseWorker(content, "cpu", 1, Delivery(tmp_path, overlays=False))
    bad = worker.predict(Case("bad", Source(tmp_path / "nothing.png")))
    assert "no such file" in bad.error
    with monkeypatch.context() as odd:
        odd.setattr(worker_module, "predict_one", lambda *_: [].shape)
        assert "AttributeError" in worker.predict(Case("odd", Source(pictures[0]))).error
    good = worker.predict(Case("good", Source(pictures[0])))
    assert good.error is None
    assert {row["case"] for row in good.summary["measurements"]} == {"good"}
    assert set(good.files) == {f"masks/{name}/good.png" for name in phantom_run.plan.data.outputs}
    worker.close()
    assert not Path(worker.folder.name).exists()


def test_without_ray_it_says_what_to_type(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HilumError, match=r"pip install 'hilum\[cluster\]'"), session("local"):
        pass


@pytest.mark.parametrize("error", [Exception("timed out during startup"), ConnectionError("refused")])
def test_a_cluster_that_does_not_start_is_told(error, monkeypatch):
    ray = pytest.importorskip("ray")

    def fails(**options):
        raise error

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(HilumError, match="does not start"), session("10.0.0.5:6379"):
        pass


@pytest.mark.slow
def test_a_cohort_on_two_workers_one_killed_equals_the_plain_loop(phantom_run, pictures, tmp_path):
    pytest.importorskip("ray")
    folder = tmp_path / "cohort"
    folder.mkdir()
    for number in range(12):
        source = pictures[number % len(pictures)]
        (folder / f"{number}{source.suffix}").write_bytes(source.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    killed = []

    def told(number, of):
        if number == 3:
            killed.append(kill_a_worker())

    done = predict(
        phantom_run.folder, folder, tmp_path / "a", workers=2, device="cpu", skip_bad=True, told=told
    )
    assert killed[0], "a worker was there to be killed"
    assert done.cases == 12
    assert len(done.left_out) == 1
    assert done.summary["lost_workers"] >= 1
    hilum.predict(phantom_run.folder, folder, tmp_path / "b", device="cpu", skip_bad=True)
    same_masks(tmp_path / "a", tmp_path / "b")
    names = [sorted(p.name for p in (tmp_path / out / "overlays").iterdir()) for out in "ab"]
    assert names[0] == names[1]


def kill_a_worker():
    """Kill one of the processes that hold a model, as the system does where memory runs out."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        if "CaseWorker" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
            os.kill(process.pid, signal.SIGKILL)
            return process.pid
    return None


@pytest.mark.slow
def test_folds_on_two_workers_give_a_finished_run(phantom_study, quick, tmp_path):
    pytest.importorskip("ray")
    from hilum.cluster.train import train

    run = train(phantom_study, tmp_path / "run", workers=2, steps=10, folds=2, settings=quick, device="cpu")
    assert run.trained_folds() == [0, 1]
    assert run.summary()["targets"]["Parenchyma"]["dice"]["cases"] == 6
