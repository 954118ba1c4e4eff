"""Real processes killed, starved of disk and run into each other: nothing is lost, and what to do is told."""

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

import hilum
from hilum.errors import HilumError, RunError, TrainingError
from hilum.training import companions, space

CHILD = """
import sys
from hilum.training import companions
companions.STATE_EVERY_S, companions.STATE_SHARE = 0.2, 1.0
from hilum.cli import main
main()
"""
KILLS = 6


def words(study, run, quick, *more, steps=40):
    settings = [word for setting in quick for word in ("--set", setting)]
    own = ["train", str(study), "--out", str(run), "--steps", str(steps), "--folds", "2", "--device", "cpu"]
    return [sys.executable, "-c", CHILD, *own, *settings, *more]


def results(run):
    """Everything of a run that must be equal: not when it was made, and how long that took."""
    found = {}
    for path in run.rglob("*"):
        name = path.relative_to(run).as_posix()
        if path.is_dir() or name.startswith("cache/") or path.suffix in (".html", ".xlsx"):
            continue
        if path.name == "history.csv":
            rows = csv.DictReader(path.read_text().splitlines())
            found[name] = [{k: v for k, v in row.items() if k not in ("seconds", "cpu_s")} for row in rows]
        elif path.name != "manifest.json":
            found[name] = path.read_bytes()
    return found


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_as_if_nothing_had_been(phantom_study, quick, tmp_path):
    """One run killed again and again; `bench/reliability.py` kills twenty runs once each."""
    whole, run, rng = tmp_path / "whole", tmp_path / "run", random.Random(0)
    began = time.monotonic()
    subprocess.run(words(phantom_study, whole, quick), check=True, capture_output=True)
    took = time.monotonic() - began
    for _ in range(KILLS):
        with subprocess.Popen(
            words(phantom_study, run, quick, "--resume"), stderr=subprocess.PIPE
        ) as process:
            try:
                process.communicate(timeout=rng.uniform(0.2, 0.8) * took)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
    done = subprocess.run(words(phantom_study, run, quick, "--resume"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(run) == results(whole)
    assert not list(run.rglob(".*"))


@pytest.mark.parametrize("files", [1, 2, 3])
def test_a_run_killed_before_its_manifest_begins_again(phantom_study, quick, tmp_path, phantom_run, files):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("study.json", "splits.json", "plan.yaml")[:files]:
        shutil.copy(phantom_run.folder / name, run)
    (run / ".0123456789ab.json").write_text("{")
    (run / ".lock").write_text('{"pid": 1')
    with pytest.raises(RunError, match="--resume"):
        hilum.train(phantom_study, run, steps=3, folds=2, settings=quick, device="cpu")
    made = hilum.train(phantom_study, run, steps=3, folds=2, settings=quick, device="cpu", resume=True)
    assert made.plan.training.steps == 3
    assert not list(run.rglob(".*"))


def test_a_folder_of_somebody_else_is_never_taken_for_a_begun_run(phantom_study, quick, tmp_path):
    for name in ("plan.yaml", "notes.txt"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(RunError, match="not empty"):
            hilum.train(phantom_study, tmp_path, steps=3, settings=quick, device="cpu", resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "plan.yaml"]


def test_changed_images_are_not_mixed_into_a_run(phantom_study, phantom_run, tmp_path):
    shutil.copytree(phantom_run.folder, tmp_path / "run")
    path = tmp_path / "run" / "manifest.json"
    content = json.loads(path.read_text())
    first = next(iter(content["inputs"]))
    content["inputs"][first] = "0" * 32
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"1 files of .* have changed since this run began"):
        hilum.train(phantom_study, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(phantom_study, quick, tmp_path):
    run = tmp_path / "a run"
    command = words(phantom_study, run, quick, steps=400)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (run / "fold-0" / "state" / "state.safetensors").is_file() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "what is done is kept. To go on: hilum train" in err
    assert f"'{run}'" in err
    assert err.rstrip().endswith("--resume")
    assert "Traceback" not in err
    assert not (run / ".lock").exists()


def test_a_second_training_of_one_run_is_told_who_holds_it(phantom_study, phantom_run, quick, tmp_path):
    from hilum.training.lock import held

    shutil.copytree(phantom_run.folder, tmp_path / "run")
    with held(tmp_path / "run"), pytest.raises(RunError, match=f"held by process {os.getpid()} on"):
        hilum.train(phantom_study, tmp_path / "run", resume=True)
    with held(tmp_path / "new"), pytest.raises(RunError, match="held by process"):
        hilum.train(phantom_study, tmp_path / "new", steps=2, settings=quick, device="cpu")


def test_a_disk_without_room_stops_before_any_work(phantom_study, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "SLACK_BYTES", 10**15)
    with pytest.raises(TrainingError, match=r"the run needs up to 1000000\.0 GB and its disk has"):
        hilum.train(phantom_study, tmp_path / "run", steps=2, folds=2, settings=quick, device="cpu")
    assert not (tmp_path / "run").exists()


class Limited:
    """Files of this process may not grow beyond so many bytes: writing fails as on a full disk."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


@pytest.mark.parametrize("size", [0, 300, 3_000, 30_000, 100_000])
def test_a_disk_that_fills_up_is_one_clear_error_and_the_run_goes_on(phantom_study, quick, tmp_path, size):
    """Each size stops another writer: the plan, the study, the weights, a table, a picture or the report."""
    run = tmp_path / "run"
    wishes = {"steps": 4, "folds": 2, "settings": quick, "device": "cpu"}
    with Limited(size), pytest.raises(HilumError, match="cannot be written"):
        hilum.train(phantom_study, run, **wishes)
    assert not run.exists() or not list(run.rglob(".*"))
    hilum.train(phantom_study, run, resume=True, **wishes)
    assert (run / "report.html").is_file()


def test_a_full_disk_leaves_the_last_state_as_it_was(tmp_path):
    import torch

    from hilum.training.state import load_tensors, save_tensors

    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.ones(10)})
    with Limited(1000), pytest.raises(HilumError, match=r"state\.safetensors: cannot be written"):
        save_tensors(path, {"a": torch.zeros(10_000)})
    assert torch.equal(load_tensors(path)[0]["a"], torch.ones(10))
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_cache_for_which_there_is_no_room_is_done_without(
    phantom_study, quick, tmp_path, monkeypatch, caplog
):
    from hilum.training import gather

    monkeypatch.setattr(gather, "worth_keeping", lambda *_: "always")
    monkeypatch.setattr(gather, "write_cache", lambda *_: (_ for _ in ()).throw(HilumError("disk full")))
    with caplog.at_level("WARNING"):
        gather.keep_samples({}, "x", tmp_path, 1.0)
    assert "not kept: disk full" in caplog.text


def test_predict_on_a_full_disk_is_one_clear_error(phantom_run, phantom_study, tmp_path):
    with Limited(200), pytest.raises(HilumError, match="cannot be written"):
        hilum.predict(phantom_run.folder, phantom_study / "pred", tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_before_any_work(phantom_study, quick, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(HilumError, match="cannot be written"):
            hilum.train(phantom_study, tmp_path / "run", steps=2, settings=quick, device="cpu")
    finally:
        tmp_path.chmod(0o700)


def test_a_disk_that_turns_read_only_is_told(phantom_study, quick, tmp_path, monkeypatch):
    real = os.fsync

    def refuse(handle):
        raise OSError(30, "Read-only file system")

    def turn(progress):
        monkeypatch.setattr(os, "fsync", refuse)

    wishes = {"steps": 4, "folds": 2, "settings": quick, "device": "cpu"}
    with pytest.raises(HilumError, match="Read-only file system"):
        hilum.train(phantom_study, tmp_path / "run", watch=turn, **wishes)
    monkeypatch.setattr(os, "fsync", real)
    hilum.train(phantom_study, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_run_that_vanishes_while_training_is_told_and_not_half_made_again(phantom_study, quick, tmp_path):
    def vanish(progress):
        if progress.step == 3:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(RunError, match="is gone"):
        hilum.train(
            phantom_study, tmp_path / "run", steps=4, folds=2, settings=quick, device="cpu", watch=vanish
        )
    assert not (tmp_path / "run").exists()


def test_images_that_vanish_are_told_and_the_run_goes_on_when_they_are_back(phantom_study, quick, tmp_path):
    study, away = tmp_path / "study", tmp_path / "away"
    shutil.copytree(phantom_study, study)

    def vanish(progress):
        if study.is_dir():
            study.rename(away)

    with pytest.raises(HilumError, match=str(study)):
        hilum.train(study, tmp_path / "run", steps=3, folds=2, settings=quick, device="cpu", watch=vanish)
    with pytest.raises(HilumError, match=str(study)):
        hilum.train(study, tmp_path / "run", resume=True)
    away.rename(study)
    hilum.train(study, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "report.html").is_file()


def test_states_take_their_share_of_the_time_and_no_more():
    assert companions.STATE_SHARE <= 0.05
    assert companions.STATE_EVERY_S <= 60


def peak_mib(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.slow
def test_the_memory_of_predict_does_not_grow_with_the_number_of_images(phantom_run, phantom_study, tmp_path):
    image = sorted((phantom_study / "pred").rglob("*.*"))[-1]
    peaks = []
    for count in (4, 60):
        folder = tmp_path / f"images-{count}"
        folder.mkdir()
        for number in range(count):
            shutil.copy(image, folder / f"{number}{image.suffix}")
        words = ["predict", str(phantom_run.folder), str(folder), "--out", str(tmp_path / f"out-{count}")]
        peaks.append(peak_mib([sys.executable, "-c", CHILD, *words]))
    assert peaks[1] < peaks[0] + 40
