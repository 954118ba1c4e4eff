import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("prometheus_client")
pytest.importorskip("fastapi")

from hilum.inference.predictor import make_predictor
from hilum.service.answers import RefusedError, predict_together, suffix_of
from hilum.service.app import make_app
from hilum.service.limits import Limits
from hilum.service.metrics import Metrics
from hilum.service.worker import Job, Worker
from hilum.training.run import load_network


@pytest.fixture
def worker(phantom_run):
    plan = phantom_run.plan
    predictor = make_predictor([load_network(phantom_run, 0)], plan)
    return Worker(phantom_run, predictor, Limits(waiting=2, batch=4), Metrics())


def job_of(tmp_path, number, content):
    folder = tmp_path / f"job{number}"
    folder.mkdir()
    (folder / "image.png").write_bytes(content)
    return Job(folder / "image.png")


def test_a_full_queue_is_429_and_leaves_no_folder(worker, tmp_path):
    for number in range(2):
        worker.submit(job_of(tmp_path, number, b"x"))
    third = job_of(tmp_path, 2, b"x")
    with pytest.raises(RefusedError) as refused:
        worker.submit(third)
    assert refused.value.status == 429
    assert not third.folder.exists()


def test_a_bad_image_stops_neither_the_others_nor_the_thread(worker, tmp_path, picture):
    jobs = [job_of(tmp_path, 0, b"no image"), job_of(tmp_path, 1, picture.read_bytes())]
    for job in jobs:
        worker.submit(job)
    worker.start()
    assert isinstance(jobs[0].future.exception(60), RefusedError)
    assert jobs[1].future.result(60).content["task"] == "segment"
    assert not any(job.folder.exists() for job in jobs)
    worker.stop()
    assert not worker.thread.is_alive()


def test_what_a_library_raises_becomes_500(worker, tmp_path, picture, monkeypatch):
    def fails(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr("hilum.service.worker.predict_together", fails)
    job = job_of(tmp_path, 0, picture.read_bytes())
    worker.submit(job)
    worker.start()
    error = job.future.exception(60)
    assert error.status == 500
    assert "no memory" not in str(error)
    worker.stop()


def test_an_answer_that_does_not_come_in_time_is_504(phantom_run, worker, picture, monkeypatch):
    testclient = pytest.importorskip("fastapi.testclient")
    limits, allowed = Limits(seconds=0.2), threading.Event()

    def slow(*given):
        allowed.wait(60)
        return predict_together(*given)

    monkeypatch.setattr("hilum.service.worker.predict_together", slow)
    app = make_app(phantom_run, worker, limits, worker.metrics, token="secret")
    with testclient.TestClient(app, headers={"Authorization": "Bearer secret"}) as client:
        late = client.post("/predict", files={"file": picture.read_bytes()})
        allowed.set()
    assert late.status_code == 504
    assert late.json() == {"error": "no answer within 0.2 s"}


def test_stopping_in_a_long_prediction_leaves_no_upload_and_tells_who_waits(worker, tmp_path, monkeypatch):
    """Whatever the thread is doing: here it is in a step that nobody can interrupt."""
    begun, allowed = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        allowed.wait(60)
        raise RuntimeError("too late")

    monkeypatch.setattr("hilum.service.worker.read_upload", slow)
    monkeypatch.setattr("hilum.service.worker.JOIN_S", 0.1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jobs = [Job(worker.new_folder() / "image.png") for _ in range(2)]
    for job in jobs:
        job.path.write_bytes(b"a patient")
    uploading = worker.new_folder()
    worker.submit(jobs[0])
    worker.start()
    assert begun.wait(60)
    worker.submit(jobs[1])
    worker.stop()
    assert worker.thread.is_alive()
    assert [job.future.exception(0).status for job in jobs] == [503, 503]
    assert not [job.folder for job in jobs if job.folder.exists()]
    assert not uploading.exists()
    allowed.set()
    worker.thread.join(60)


def test_a_prediction_ends_at_the_next_tile_once_the_service_stops(worker, tmp_path, picture, monkeypatch):
    job = job_of(tmp_path, 0, picture.read_bytes())

    def stopped(*given):
        worker.stopping.set()
        return predict_together(*given)

    monkeypatch.setattr("hilum.service.worker.predict_together", stopped)
    worker.submit(job)
    worker.start()
    assert job.future.exception(60).status == 503
    assert not job.folder.exists()
    worker.stop()
    assert not worker.thread.is_alive()


def test_the_address_that_is_served_is_a_name_of_this_machine(phantom_run, worker):
    testclient = pytest.importorskip("fastapi.testclient")
    app = make_app(phantom_run, worker, Limits(), worker.metrics, token=None, host="127.0.0.2")
    with testclient.TestClient(app, base_url="http://127.0.0.2:8000") as client:
        assert client.get("/health").status_code == 200
        assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400


def test_a_request_that_was_given_up_is_not_predicted(worker, tmp_path):
    job = job_of(tmp_path, 0, b"x")
    job.future.cancel()
    assert not worker._wanted(job)
    assert not job.folder.exists()
    with pytest.raises(CancelledError):
        job.future.result(0)


def test_images_of_one_shape_go_together_with_the_same_answers(worker):
    rng = np.random.default_rng(0)
    import torch

    made = [torch.from_numpy(rng.normal(size=(3, 32, 48)).astype(np.float32)) for _ in range(3)]
    seen = [SimpleNamespace(prepared=one) for one in made]
    together = predict_together(worker.predictor, seen)
    for one, found in zip(made, together, strict=True):
        assert np.abs(worker.predictor.prepared(one) - found).max() < 0.02


def test_of_a_client_s_file_name_only_a_known_ending_is_used():
    assert suffix_of("../a.png/../b.tif") == ".tif"
    assert suffix_of("a.sh") == ""
