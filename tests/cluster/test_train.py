"""Folds side by side, by a stand-in for Ray that calls at once what it is given."""

import contextlib
from types import SimpleNamespace

import pytest

from hilum.cluster import train as cluster
from hilum.errors import TrainingError
from hilum.training.state import load_tensors


class LostError(Exception):
    pass


class Remote:
    def __init__(self, called):
        self.called, self.asked = called, {}

    def options(self, **asked):
        self.asked |= asked
        return self

    def remote(self, *arguments):
        return Done(self.called, arguments)


class Done:
    def __init__(self, called, arguments):
        self.called, self.arguments = called, arguments


class Ray:
    """What `_trained` uses of Ray; `loses` are folds whose worker dies."""

    def __init__(self, loses=()):
        self.exceptions = SimpleNamespace(RayError=LostError)
        self.loses, self.cancelled, self.told = loses, [], []

    def remote(self, called):
        return Remote(called)

    def wait(self, flying, num_returns):
        return flying[:num_returns], flying[num_returns:]

    def get(self, done):
        self.told.append(done.arguments)
        if done.arguments[2] in self.loses:
            raise LostError("the node died")
        done.called(*done.arguments)

    def cancel(self, other):
        self.cancelled.append(other.arguments[2])


@pytest.fixture
def ray(monkeypatch):
    made = Ray()
    monkeypatch.setattr(cluster, "session", lambda address, workers: contextlib.nullcontext(made))
    monkeypatch.setattr(cluster, "worker_count", lambda ray, workers, device: 2)
    return made


def test_workers_start_from_the_weights_asked_for_with_their_own_threads(
    ray, phantom_study, phantom_run, quick, tmp_path
):
    settings = (*quick, "training.learning_rate=1e-12", "training.ema=0.0", "training.norm_batches=0")
    run = cluster.train(
        phantom_study,
        tmp_path / "run",
        steps=1,
        folds=2,
        settings=settings,
        device="cpu",
        init=phantom_run.folder,
    )
    assert run.trained_folds() == [0, 1]
    assert run.plan.training.threads == 1
    assert {told[4] for told in ray.told} == {str(phantom_run.folder.resolve())}
    mine = load_tensors(run.fold(1) / "model.safetensors")[0]
    theirs = load_tensors(phantom_run.fold(1) / "model.safetensors")[0]
    weights = [name for name in mine if name.endswith("weight") and mine[name].ndim == 4]
    assert weights
    assert all(abs(mine[name] - theirs[name]).max() < 1e-6 for name in weights)


def test_a_fold_that_cannot_be_finished_stops_the_others_and_says_how_to_go_on(
    ray, phantom_study, quick, tmp_path
):
    ray.loses = (0,)
    with pytest.raises(TrainingError, match=r"fold 0 .*the node died.*--resume"):
        cluster.train(phantom_study, tmp_path / "run", steps=1, folds=2, settings=quick, device="cpu")
    assert ray.cancelled == [1]


def test_a_run_begun_here_goes_on_over_there_and_threads_of_ones_own_are_kept(
    ray, phantom_study, quick, tmp_path, monkeypatch
):
    begun = {"steps": 1, "folds": 2, "device": "cpu"}
    narrow = tuple(each for each in quick if not each.startswith("training.threads"))
    monkeypatch.setattr(cluster, "train_here", lambda *folders, **wishes: wishes)
    run = tmp_path / "run"
    fresh = cluster.train(phantom_study, run, settings=narrow, **begun)
    assert fresh["settings"] == [*narrow, "training.threads=1"]
    own = cluster.train(phantom_study, run, settings=(*narrow, "training.threads=2"), **begun)
    assert own["settings"] == [*narrow, "training.threads=2"]
    run.mkdir()
    (run / "manifest.json").touch()
    resumed = cluster.train(phantom_study, run, settings=narrow, resume=True, **begun)
    assert resumed["settings"] == list(narrow)
