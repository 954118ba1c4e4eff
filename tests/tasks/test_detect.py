import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

import hilum
from hilum import tasks
from hilum.ct.coordinates import world_to_voxel
from hilum.image.readers import read_image
from hilum.phantoms.make import make_phantom
from hilum.planning.planner import Wishes, make_plan
from hilum.study.marked import nodule_marks
from hilum.study.masks import read_case_image
from hilum.study.open import understand
from hilum.tasks.detect import DETECT
from hilum.tasks.scans import read_scan
from hilum.training.run import open_run
from hilum.training.state import load_tensors

QUICK = (
    "training.threads=1",
    "model.settings={width: 4, depth: 3, stem: 2}",
    "training.batch=8",
    "scoring.bootstrap=20",
    "detection.width=4",
    "detection.steps=8",
    "detection.batch=8",
)


@pytest.fixture(scope="session")
def luna(tmp_path_factory):
    """A phantom LUNA folder of four small scans, three millimetres a voxel."""
    return make_phantom("ct", tmp_path_factory.mktemp("luna") / "study", cases=4, size=(60, 110, 110), seed=3)


@pytest.fixture(scope="session")
def found(luna, tmp_path_factory):
    """A run of two folds on it; tests only read it."""
    out = tmp_path_factory.mktemp("luna-run") / "run"
    return hilum.train(luna, out, steps=50, folds=2, settings=QUICK, device="cpu")


def rows(path):
    return pd.read_csv(path, dtype={"status": str, "lung_warnings": str})


def test_the_task_is_found_by_its_marks(luna):
    study = understand(luna)
    assert tasks.find_task(study) is DETECT
    assert len(study.groups) == len(study.cases) == 4
    assert "every scan its own group" in study.grouping


def test_every_planned_value_has_a_reason(luna):
    plan = make_plan(understand(luna), Wishes(device="cpu"), 4, "asked for").plan
    assert plan.task == "detect"
    assert (plan.data.dims, plan.data.lungs, plan.data.window) == (2, "crop", [-1000.0, 400.0])
    assert plan.data.neighbours >= 1
    for key in ("data.spacing", "data.neighbours", "data.lungs", "data.marks_as", "training.rare_share"):
        assert plan.reasons[key]
    for key in ("detection.threshold", "detection.cube", "training.patch", "training.loss"):
        assert plan.reasons[key]


def test_blocks_are_planned_for_a_graphics_card():
    from hilum.planning import mark_rules
    from hilum.planning.draft import Draft

    draft = Draft()
    mark_rules.plan_blocks(draft, (2.0, 1.0, 1.0))
    plan = draft.plan()
    assert plan.data.dims == len(plan.training.patch) == plan.model.settings["dims"] == 3
    depth, stem = plan.model.settings["depth"], plan.model.settings["stem"]
    assert all(side % (stem * 2**depth) == 0 for side in plan.training.patch)


@pytest.mark.parametrize("kind", ["ball", "adaptive", "slices"])
def test_a_sample_shows_the_nodules_where_they_are_marked(luna, kind):
    study = understand(luna)
    plan = make_plan(study, Wishes(device="cpu", settings=(f"data.marks_as={kind}",)), 2, "").plan
    case = next(case for case in study.cases if nodule_marks(case))
    image = read_case_image(case)
    (sample,) = DETECT.samples(case, image, plan)
    scan = read_scan(image, plan.data)
    assert sample.shape == scan.grid.shape
    mask = sample.stack[1].numpy() > 0.5
    for mark in nodule_marks(case):
        assert mask[tuple(np.rint(world_to_voxel(scan.grid, mark.centre)).astype(int))]
    if kind == "slices":
        assert int(mask.any((1, 2)).sum()) <= 3 * len(nodule_marks(case))
    on, alike = sample.centres
    assert mask[tuple(on.T)].all()
    assert len(on) == 64 * len(nodule_marks(case))
    assert not mask[tuple(alike.T)].any()
    assert scan.inside[tuple(alike.T)].all()


def test_the_scan_is_cut_to_its_lungs(luna):
    study = understand(luna)
    image = read_case_image(study.cases[0])
    plan = make_plan(study, Wishes(device="cpu"), 2, "").plan
    scan = read_scan(image, plan.data)
    assert scan.grid.array.size < 0.6 * image.array.size
    covered = np.zeros(image.shape, bool)
    covered[scan.box] = True
    assert covered[scan.lungs.mask].all()
    plan.data.lungs, plan.data.spacing = "blank", None
    blank = read_scan(image, plan.data)
    assert (blank.grid.array[0][~blank.lungs.mask[blank.box]] == -1000).all()
    plan.data.lungs = "none"
    assert read_scan(image, plan.data).grid.shape == image.shape


FILES = (
    *("evaluation/candidates.csv", "evaluation/nodules.csv", "evaluation/cases.csv"),
    *("evaluation/summary.json", "predictions/candidates.csv", "predictions/submission.csv"),
    *("predictions/nodules.csv", "fold-0/second.safetensors", "fold-1/second-history.csv", "report.html"),
)


@pytest.mark.parametrize("name", FILES)
def test_a_run_leaves_what_was_agreed(found, name):
    assert (found.folder / name).is_file()


def test_the_summary_holds_both_stages(found):
    summary = json.loads((found.evaluation / "summary.json").read_text())
    assert summary["scans"] == 4
    assert summary["nodules"] == sum(len(nodule_marks(case)) for case in found.study.cases)
    froc = summary["froc"]
    assert froc["false_positives"] == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert froc["cpm"]["value"] == pytest.approx(np.mean(froc["sensitivity"]))
    low, high = froc["cpm"]["interval"]
    assert low <= high
    assert summary["first_stage"]["cpm"] == pytest.approx(np.mean(summary["first_stage"]["sensitivity"]))
    assert summary["second_stage"]["gain"] == pytest.approx(
        froc["cpm"]["value"] - summary["first_stage"]["cpm"]
    )
    assert "second classifier" in summary["second_stage"]["words"]
    point = summary["operating_point"]
    assert point["lowest"] <= point["threshold"] <= point["highest"]


def test_tables_agree_with_each_other_and_with_the_summary(found):
    candidates = rows(found.evaluation / "candidates.csv")
    nodules, cases = rows(found.evaluation / "nodules.csv"), rows(found.evaluation / "cases.csv")
    summary = found.summary()
    threshold = candidates.seriesuid.map(dict(zip(cases.case, cases.threshold, strict=True)))
    assert cases.groupby("fold").threshold.nunique().max() == 1
    assert set(candidates.status) <= {"hit", "double", "false", "ignored"}
    assert len(nodules) == summary["nodules"]
    assert nodules.found.sum() == cases.found.sum()
    assert nodules.found.mean() == pytest.approx(summary["operating_point"]["sensitivity"])
    false = candidates[(candidates.status == "false") & (candidates.probability >= threshold)]
    assert len(false) == cases.false_positives.sum()
    rate = summary["operating_point"]["false_positives_a_scan"]
    assert rate == pytest.approx(len(false) / len(cases))
    hits = candidates[candidates.status == "hit"]
    assert hits.distance_mm.notna().all()
    assert candidates[candidates.status == "false"].distance_mm.isna().all()
    assert set(nodules.side) <= {"left", "right", "outside"}
    assert (nodules.volume_mm3 > 0).all()
    assert cases.case.tolist() == cases.group.tolist()
    assert cases.lungs_l.between(1, 9).all()


def test_masks_lie_on_the_scans_grid(found):
    for case in found.study.cases:
        image = read_case_image(case)
        mask = read_image(found.predictions / "masks" / "nodule" / f"{case.name}.nii.gz")
        assert mask.shape == image.shape
        assert mask.spacing.sizes == pytest.approx(image.spacing.sizes, rel=1e-5)
        assert mask.geometry.origin == pytest.approx(image.geometry.origin, abs=1e-3)
        assert set(np.unique(mask.array)) <= {0, 1}
    predicted = rows(found.predictions / "nodules.csv")
    masked = [
        case.name
        for case in found.study.cases
        if read_image(found.predictions / "masks" / "nodule" / f"{case.name}.nii.gz").array.any()
    ]
    assert sorted(set(predicted.seriesuid)) == sorted(masked)


def test_new_scans_are_predicted_and_scored_where_they_are_marked(found, luna, tmp_path):
    scan = next(iter(sorted(luna.glob("subset*/*.mhd"))))
    done = hilum.predict(found.folder, scan, tmp_path / "one", device="cpu")
    assert done.cases == 1
    for name in ("candidates.csv", "submission.csv", "nodules.csv"):
        assert (tmp_path / "one" / name).is_file()
    assert not (tmp_path / "one" / "evaluation").exists()
    again = hilum.evaluate(found.folder, luna, tmp_path / "all")
    assert again["scans"] == 4
    assert (tmp_path / "all" / "evaluation" / "nodules.csv").is_file()
    measured, _ = hilum.measure(sorted((tmp_path / "all" / "masks" / "nodule").iterdir()))
    assert len(measured) == 4
    assert {row["unit"] for row in measured} == {"mm³"}


def test_scans_that_nobody_marked_are_no_false_alarms(found, luna, tmp_path):
    scan = next(iter(sorted(luna.glob("subset*/*.mhd"))))
    (tmp_path / "plain").mkdir()
    for path in (scan, scan.with_suffix(".raw"), scan.with_suffix(".zraw")):
        if path.is_file():
            shutil.copy(path, tmp_path / "plain")
    hilum.predict(found.folder, [luna, tmp_path / "plain"], tmp_path / "out", device="cpu")
    judged = pd.read_csv(tmp_path / "out" / "evaluation" / "candidates.csv")
    every = pd.read_csv(tmp_path / "out" / "candidates.csv")
    cases = pd.read_csv(tmp_path / "out" / "evaluation" / "cases.csv")
    assert set(judged["seriesuid"]) <= set(cases["case"])
    assert len(set(every["seriesuid"]) - set(cases["case"])) == 1


def test_going_on_gives_the_same_bytes(found, luna, tmp_path):
    """A run that lost its second classifier and its scores comes back as it was."""
    copy = tmp_path / "run"
    shutil.copytree(found.folder, copy)
    before = load_tensors(copy / "fold-1" / "second.safetensors")[0]
    (copy / "fold-1" / "second.safetensors").unlink()
    shutil.rmtree(copy / "evaluation")
    hilum.train(luna, copy, resume=True)
    after = load_tensors(copy / "fold-1" / "second.safetensors")[0]
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in ("candidates.csv", "nodules.csv", "cases.csv"):
        assert (copy / "evaluation" / name).read_bytes() == (found.evaluation / name).read_bytes()


def test_the_recipe_of_2017_walks_the_road(luna, tmp_path):
    small = ("model.settings={widths: [4, 4, 4]}", "data.size=[64, 64]", "training.patch=[64, 64]")
    more = ("inference.tile=[64, 64]", "training.threads=1", "scoring.bootstrap=10", "training.epochs=1")
    run = hilum.train(luna, tmp_path / "run", recipe="nodule-2017", folds=2, settings=(*small, *more))
    plan = open_run(run.folder).plan
    assert (plan.data.lungs, plan.data.marks_as, plan.data.neighbours) == ("classic", "slices", 0)
    assert plan.detection.second == "never"
    assert not (run.folder / "fold-0" / "second.safetensors").exists()
    nodules = sum(len(nodule_marks(case)) for case in run.study.cases)
    assert plan.training.steps <= -(-3 * nodules // plan.training.batch)
    assert run.summary()["scans"] == 4


def test_irrelevant_findings_are_read_as_marks_of_their_own(luna, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(luna, copy)
    uid = sorted(copy.glob("subset*/*.mhd"))[0].stem
    table = copy / "annotations_excluded.csv"
    table.write_text(f"seriesuid,coordX,coordY,coordZ,diameter_mm\n{uid},0,0,-200,-1\n")
    case = next(case for case in understand(copy).cases if case.image.path.stem == uid)
    assert [mark.kind for mark in case.marks if mark not in nodule_marks(case)] == ["excluded"]
