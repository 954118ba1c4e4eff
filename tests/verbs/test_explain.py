import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

import hilum
from hilum.errors import HilumError, RunError
from hilum.explanation.decision import at_half
from hilum.files import write_json
from hilum.phantoms.make import make_phantom
from hilum.planning.plan import Plan
from hilum.study.open import understand
from hilum.verbs.explain import _targets, decide_as


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps on a small phantom, two folds."""
    folder = tmp_path_factory.mktemp("explained")
    study = make_phantom("histology", folder / "study", cases=6, size=(128, 160))
    return hilum.train(study, folder / "run", steps=20, folds=2, settings=["scoring.bootstrap=20"])


@pytest.fixture(scope="module")
def images(run):
    return [case.image.path for case in understand(run.study.root).cases[:2]]


@pytest.fixture(scope="module")
def explained(run, images, tmp_path_factory):
    return hilum.explain(run.folder, images, tmp_path_factory.mktemp("out") / "why")


def test_every_picture_is_there_at_full_size(run, images, explained):
    names = sorted(folder.name for folder in explained.out.iterdir() if folder.is_dir())
    assert len(names) == 2
    folder = explained.out / names[0]
    size = Pillow.open(images[0]).size
    for target in run.plan.data.outputs:
        for kind in ("gradcam", "occlusion"):
            found = Pillow.open(folder / f"{kind}-{target}.jpg")
            assert found.width >= size[0]
            assert found.height > size[1]
    assert Pillow.open(folder / "uncertainty.jpg").height > size[1]
    assert len(list(folder.glob("features-*.png"))) >= 4


def test_rows_are_in_the_table_and_between_zero_and_one(run, explained):
    with (explained.out / "uncertainty.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * len(run.plan.data.outputs) == len(explained.rows)
    values = np.array([[float(row["uncertainty"]), float(row["disagreement"])] for row in rows])
    assert (values >= 0).all()
    assert (values <= 1).all()
    assert (values[:, 1] <= values[:, 0] + 1e-6).all()


def test_the_page_is_complete_in_itself(run, explained):
    page = explained.page.read_text(encoding="utf-8")
    assert explained.page.name == "explain.html"
    assert page.count("data:image/") > 8
    assert 'src="http' not in page
    assert 'href="http' not in page
    for target in run.plan.data.outputs:
        assert target in page


OWN = {"temperature": 2.0, "background": 500}


@pytest.mark.parametrize(("cut", "gate"), [(0.3, 0.0), (0.7, 0.0), (OWN, 0.0), (0.3, 1.01)])
def test_what_is_found_is_what_predict_finds(run, images, tmp_path, cut, gate):
    copied = tmp_path / "run"
    shutil.copytree(run.folder, copied)
    targets = run.plan.data.outputs
    write_json(copied / "evaluation" / "thresholds.json", dict.fromkeys(targets, cut))
    write_json(copied / "evaluation" / "presence.json", {targets[0]: gate})
    done = hilum.explain(copied, images, tmp_path / "why", occlusion=False, layers=["encoder.0"])
    told = hilum.predict(copied, images, tmp_path / "out", overlays=False).summary["measurements"]
    predicted = {(row["case"], row["target"]): row["share_percent"] / 100 for row in told}
    shares = {(row["case"], row["output"]): row["share"] for row in done.rows}
    assert shares == pytest.approx(predicted, abs=1e-6)
    assert any(0 < share < 1 for share in shares.values()) or gate
    if gate:
        assert not any(share for (_, target), share in shares.items() if target == targets[0])


def test_thresholds_that_are_damaged_stop_before_anything_is_written(run, images, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(run.folder, copied)
    write_json(copied / "evaluation" / "thresholds.json", dict.fromkeys(run.plan.data.outputs, "low"))
    with pytest.raises(RunError, match=r"thresholds\.json"):
        hilum.explain(copied, images, tmp_path / "why")
    assert not (tmp_path / "why").exists()


def test_of_huge_images_presence_is_not_asked_as_predict_does_not(tmp_path):
    plan = Plan()
    plan.task, plan.data.outputs = "segment", ["a"]
    run = SimpleNamespace(plan=plan, evaluation=tmp_path)
    write_json(tmp_path / "thresholds.json", {"a": 0.3})
    write_json(tmp_path / "presence.json", {"a": 1.01})
    said = np.full((1, 4, 4), 0.4, np.float32)
    assert not decide_as(run)(said, (8, 8)).any()
    assert decide_as(run, presence=False)(said, (8, 8)).all()


def test_classes_are_called_as_the_run_decides(tmp_path):
    plan = Plan()
    plan.task, plan.model.activation, plan.data.outputs = "classify", "sigmoid", ["a", "b", "c"]
    run = SimpleNamespace(plan=plan, evaluation=tmp_path)
    said = np.array([0.45, 0.45, 0.1], np.float32)
    assert decide_as(run)(said, (8, 8)).tolist() == [False] * 3
    points = [
        {"rule": "youden", "threshold": cut, "sensitivity": None, "specificity": None, "cases": 9}
        for cut in (0.4, 0.47, 0.2)
    ]
    write_json(tmp_path / "decision.json", {"temperature": 2.0, "points": points, "cases": 9})
    # the temperature of 2 draws 0.45 to 0.475 and 0.1 to 0.25
    assert decide_as(run)(said, (8, 8)).tolist() == [True, True, True]
    plan.model.activation = "softmax"
    assert decide_as(run)(np.array([0.3, 0.45, 0.25], np.float32), (8, 8)).tolist() == [False, True, False]
    plan.task = "detect"
    assert decide_as(run) is at_half


def test_only_what_is_asked_for(run, images, tmp_path):
    target = run.plan.data.outputs[0]
    done = hilum.explain(
        run.folder, images[0], tmp_path / "why", target=target, layers=["encoder.0"], fold=1, occlusion=False
    )
    names = {path.name for path in done.out.rglob("*") if path.is_file()}
    assert names == {
        "explain.html",
        "uncertainty.csv",
        "features-encoder.0.png",
        f"gradcam-{target}.jpg",
        "uncertainty.jpg",
    }
    assert "of fold 1" in done.page.read_text(encoding="utf-8")


def test_unknown_names_stop_before_anything_is_written(run, images, tmp_path):
    out = tmp_path / "why"
    target = run.plan.data.outputs[0]
    with pytest.raises(HilumError, match=rf"no target '{target[:-1]}' \(did you mean '{target}'\?\)"):
        hilum.explain(run.folder, images, out, target=target[:-1])
    with pytest.raises(HilumError, match=r"no layer 'encodr\.1' \(did you mean 'encoder\.1'\?\).*decoder\.0"):
        hilum.explain(run.folder, images, out, layers=["encodr.1"])
    with pytest.raises(HilumError, match="--fold 7: is not trained; choose from 0, 1"):
        hilum.explain(run.folder, images, out, fold=7)
    assert not out.exists()


def test_bad_images_stop_or_are_left_out(run, images, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    with pytest.raises(HilumError, match=r"bad\.png"):
        hilum.explain(run.folder, [bad, images[0]], tmp_path / "a", occlusion=False)
    done = hilum.explain(run.folder, [bad, images[0]], tmp_path / "b", occlusion=False, skip_bad=True)
    assert "bad.png" in done.left_out[0]
    assert len({row["case"] for row in done.rows}) == 1


def test_a_full_folder_is_left_alone(run, images, explained):
    with pytest.raises(RunError, match="exists and is not empty"):
        hilum.explain(run.folder, images, explained.out)


def test_on_the_command_line(run, images, tmp_path):
    from hilum.cli import app

    done = CliRunner().invoke(
        app,
        [
            "explain",
            str(run.folder),
            str(images[0]),
            "--out",
            str(tmp_path / "why"),
            "--no-occlusion",
            "--json",
        ],
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["page"].endswith("explain.html")
    assert {row["output"] for row in said["rows"]} == set(run.plan.data.outputs)


def test_the_absence_of_what_is_looked_for_is_told_as_such():
    run = SimpleNamespace(
        folder="run",
        plan=SimpleNamespace(data=SimpleNamespace(outputs=["PNEUMONIA"])),
        study=SimpleNamespace(classes=("NORMAL", "PNEUMONIA")),
    )
    with pytest.raises(HilumError, match=r"tells NORMAL as the absence of PNEUMONIA.*--target PNEUMONIA"):
        _targets(run, "NORMAL")
    assert _targets(run, ["PNEUMONIA"]) == ["PNEUMONIA"]
    with pytest.raises(HilumError, match="there is no target 'other'"):
        _targets(run, ["other"])
