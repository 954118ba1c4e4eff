"""A run, a plan, a study from a stranger: no code is run, nothing is written outside, nobody is called."""

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import hilum
from hilum.errors import HilumError, PlanError, RunError, StudyError
from hilum.files import stays_inside
from hilum.planning.document import LIMIT_BYTES, read_plan
from hilum.planning.plan import DataPlan
from hilum.study.open import understand
from hilum.training.run import load_network, open_run

# Every call of the socket module that could reach anybody; names of the machine itself may be asked for.
NO_SOCKETS = """
import sys
def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        raise SystemExit(f"the network was asked for: {event} {arguments}")
sys.addaudithook(refuse)
from hilum.cli import main
main()
"""


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def run(phantom_run, tmp_path):
    """A copy of a run, to be tampered with."""
    shutil.copytree(phantom_run.folder, tmp_path / "run")
    return tmp_path / "run"


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("verb", ["predict", "resume", "evaluate", "report"])
def test_pickles_in_a_run_are_never_opened(run, phantom_study, tmp_path, verb):
    trace = tmp_path / "opened"
    evil = pickle.dumps(Evil(trace))
    (run / "fold-0" / "model.safetensors").write_bytes(evil)
    torch.save({"a": Evil(trace)}, run / "fold-1" / "model.safetensors")
    probabilities = next((run / "evaluation" / "probabilities").iterdir())
    np.savez(probabilities, probability=np.array([Evil(trace)], object))
    calls = {
        "predict": lambda: hilum.predict(run, phantom_study / "pred", tmp_path / "out"),
        "resume": lambda: hilum.train(phantom_study, run, resume=True),
        "evaluate": lambda: hilum.evaluate(run),
        "report": lambda: hilum.report(run),
    }
    try:
        calls[verb]()
    except HilumError as error:
        assert "Traceback" not in str(error)  # noqa: PT017
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["../../evil", "/tmp/evil", "a/../../evil", "..", "", "a\0b", "a\nb", "C:/evil"]
)
def test_names_in_a_run_cannot_leave_its_folder(run, phantom_study, tmp_path, name):
    assert not stays_inside(name)
    whole = (run / "study.json").read_text()
    edited(run / "study.json", lambda content: content["cases"][0].update(name=name))
    with pytest.raises(HilumError, match=r"study\.json|splits\.json"):
        open_run(run).splits  # noqa: B018
    (run / "study.json").write_text(whole)
    with pytest.raises(ValueError, match="cannot be a target's name"):
        DataPlan(outputs=[name])
    text = (run / "plan.yaml").read_text()
    (run / "plan.yaml").write_text(text.replace("[Parenchyma,", f"[{json.dumps(name)},"))
    with pytest.raises(PlanError):
        hilum.predict(run, phantom_study / "pred", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a b", "train/肺 1", "xy:z", "..a", "a..b", "a.b/c.d", "<script>", "=1"])
def test_ordinary_names_may_be_used(name):
    assert stays_inside(name)
    assert DataPlan(outputs=[name]).outputs == [name]


def test_paths_in_a_table_cannot_leave_its_folder(tmp_path, phantom_study):
    image = sorted((phantom_study / "pred").rglob("*.*"))[-1]
    for place in ("study/a/b", "study/c/b", "outside"):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(image, tmp_path / place / f"x{image.suffix}")
    table = tmp_path / "study" / "study.csv"
    inside = [f"a/b/../b/x{image.suffix}", f"c/../c/b/x{image.suffix}"]
    table.write_text("\n".join(["image,label", *(f"{path},{k}" for k, path in enumerate(inside))]))
    names = [case.name for case in understand(tmp_path / "study").cases]
    assert len(set(names)) == 2
    assert all(stays_inside(name) and ".." not in name for name in names)
    for cell in (f"../outside/x{image.suffix}", str(tmp_path / "outside" / f"x{image.suffix}")):
        table.write_text(f"image,label\n{cell},1\n{inside[0]},0\n")
        with pytest.raises(StudyError, match="leave the folder"):
            understand(tmp_path / "study")


def test_a_column_of_a_table_cannot_name_a_folder_outside(tmp_path, phantom_study):
    image = sorted((phantom_study / "pred").rglob("*.*"))[-1]
    for name in "ab":
        shutil.copy(image, tmp_path / f"{name}{image.suffix}")
    rows = [f"{name}{image.suffix},{name}{image.suffix}" for name in "ab"]
    (tmp_path / "study.csv").write_text("\n".join(["image,../../evil", *rows]))
    with pytest.raises(HilumError):
        hilum.train(tmp_path, tmp_path / "run", steps=1, folds=2, device="cpu")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path.parent / "evil").exists()


def test_zips_are_read_in_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.writestr("../../evil.dcm", bytes(128) + b"DICM" + bytes(100))
    before = set(tmp_path.parent.parent.iterdir())
    with pytest.raises(HilumError):
        hilum.measure([tmp_path / "scan.zip"])
    assert set(tmp_path.parent.parent.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["scan.zip"]


def test_a_plan_that_asks_for_more_than_its_weights_takes_no_memory(run):
    text = (run / "plan.yaml").read_text()
    assert "width: 4" in text
    (run / "plan.yaml").write_text(text.replace("width: 4", "width: 100000, max_width: 100000"))
    with pytest.raises(RunError, match="do not fit the plan"):
        load_network(open_run(run), 0)


@pytest.mark.parametrize(
    "settings",
    ["{width: -1}", "{depth: 1000000}", "{depth: 0}", "{stem: 0}", "{dims: 7}", "{width: 1.5}", "{width: a}",
     "{stem: 3}", "{max_width: 0}", "{width: [1]}", "{depth: true}"],
)  # fmt: skip
def test_settings_of_a_network_are_checked(settings, phantom_study, tmp_path):
    wishes = (f"model.settings={settings}",)
    with pytest.raises(PlanError):
        hilum.train(phantom_study, tmp_path / "run", steps=1, folds=2, settings=wishes, device="cpu")


def test_weights_that_are_no_numbers_are_refused(run):
    from hilum.training.state import load_tensors, save_tensors

    path = run / "fold-0" / "model.safetensors"
    tensors, notes = load_tensors(path)
    tensors["head.bias"][0] = float("nan")
    save_tensors(path, tensors, notes)
    with pytest.raises(RunError, match=r"NaN or infinite weights, in head\.bias"):
        load_network(open_run(run), 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plan.yaml", "task: segment\n" + "#" * LIMIT_BYTES),
        ("plan.yaml", "a: &a [x,x]\nb: &b [*a,*a]\n"),
        ("plan.yaml", "!!python/object/apply:os.system ['touch evil']"),
        ("plan.yaml", "[" * 50_000),
        ("plan.yaml", "training: {learning_rate: .inf}"),
        ("plan.yaml", "training: {learning_rate: .nan}"),
        ("plan.yaml", "training: {learning_rate: 1e30}"),
    ],
)
def test_plans_are_limited(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(PlanError, match=r"plan\.yaml"):
        read_plan(tmp_path / name)


def test_reports_show_names_as_text(tmp_path, quick):
    from hilum.phantoms.make import make_phantom

    study = make_phantom("histology", tmp_path / "study", cases=4, size=(96, 96))
    evil = "<script>alert(1)<!--"
    for path in [path for path in study.rglob("*") if path.is_file() and path.name.startswith("3_")]:
        path.rename(path.with_name(f"3_{evil}{path.name}"))
    run = hilum.train(study, tmp_path / "run", steps=2, folds=2, settings=quick, device="cpu")
    assert any("<script>" in case.name for case in run.study.cases)
    page = (run.folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.slow
def test_nobody_is_called(phantom_study, quick, tmp_path):
    settings = [word for setting in quick for word in ("--set", setting)]
    run, out = tmp_path / "run", tmp_path / "out"
    words = ["--out", str(run), "--steps", "3", "--folds", "2", *settings]
    for command in (
        ["train", str(phantom_study), *words],
        ["predict", str(run), str(phantom_study), "--out", str(out)],
    ):
        done = subprocess.run([sys.executable, "-c", NO_SOCKETS, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    told = "import socket; socket.create_connection(('127.0.0.1', 9))"
    script = NO_SOCKETS.replace("from hilum.cli import main\nmain()", told)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "the network was asked for" in done.stderr
