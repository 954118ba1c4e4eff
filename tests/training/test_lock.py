import json
import os
import signal
import subprocess
import sys

import pytest

from hilum.errors import HilumError, RunError
from hilum.training import lock
from hilum.training.lock import NAME, held, passed_over, sweep

HOLD = """
import sys, time
from pathlib import Path
from hilum.training.lock import held
with held(Path(sys.argv[1])):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds tmp_path/run."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_process_is_told_who_holds_the_run(tmp_path, other):
    with pytest.raises(RunError, match=f"process {other.pid} on .* since 20"), held(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / NAME).is_file()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "run" / NAME).is_file()
    with held(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / NAME).read_text())["pid"] == os.getpid()
    assert not (tmp_path / "run" / NAME).exists()


def test_nothing_is_left_of_a_folder_in_which_nothing_was_made(tmp_path):
    with held(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / NAME).is_file()
    assert list(tmp_path.iterdir()) == []
    with held(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "plan.yaml").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["plan.yaml"]


def test_one_process_does_not_hold_a_run_twice(tmp_path):
    with held(tmp_path), pytest.raises(RunError, match=str(os.getpid())), held(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "\0\0", '{"pid": 1}' * 2000])
def test_whatever_lies_in_the_lock_file_is_no_obstacle_where_the_system_gives_the_lock(tmp_path, content):
    (tmp_path / NAME).write_text(content)
    with held(tmp_path):
        pass


def test_a_lock_of_another_machine_is_left_to_the_user(tmp_path):
    holder = {"pid": 7, "host": "far", "boot": "other", "since": "2020-01-01T00:00:00"}
    (tmp_path / NAME).write_text(json.dumps(holder))
    with pytest.raises(RunError, match=r"another machine.*rm .*\.lock"), held(tmp_path):
        pass
    assert json.loads((tmp_path / NAME).read_text()) == holder


@pytest.mark.parametrize("same", ["host", "boot"])
def test_a_restarted_machine_and_a_new_container_take_over(tmp_path, same):
    holder = {"pid": 7, "host": "far", "boot": "other", same: lock._myself()[same]}
    (tmp_path / NAME).write_text(json.dumps(holder))
    with held(tmp_path):
        pass


def test_a_file_is_no_folder_and_the_disk_may_refuse(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"), held(tmp_path / "file"):
        pass
    with pytest.raises(HilumError, match="cannot be written"), held(tmp_path / "file" / "run"):
        pass


def test_half_written_files_are_swept_and_others_kept(tmp_path):
    halves = (".0123456789ab.json", "fold-0/state/.aaaaaaaaaaaa.safetensors", ".0123456789ab")
    kept = ("plan.yaml", ".lock", ".hidden", "a/.0123456789.json", ".notes.txt")
    for name in (*halves, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "masks" / ".volume-x1").mkdir(parents=True)
    sweep(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)
    assert not (tmp_path / "masks" / ".volume-x1").exists()
    assert not passed_over("0123456789ab.json")
