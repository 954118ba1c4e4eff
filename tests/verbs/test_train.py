import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image as Pillow

import hilum
from hilum.errors import PlanError, RunError, StudyError
from hilum.exchange.card import model_card
from hilum.study.open import open_study
from hilum.study.splits import Fold, Splits
from hilum.training.run import Run, open_run
from hilum.training.state import load_tensors
from hilum.verbs.fold_training import seen_before
from hilum.verbs.resuming import Options

FILES = (
    *("plan.yaml", "study.json", "splits.json", "manifest.json", "report.html"),
    *("fold-0/model.safetensors", "fold-0/history.csv", "fold-1/model.safetensors", "fold-1/history.csv"),
    *("evaluation/cases.csv", "evaluation/summary.json", "evaluation/measurements.csv"),
)


@pytest.mark.parametrize("name", FILES)
def test_a_run_leaves_what_the_design_says(phantom_run, name):
    assert (phantom_run.folder / name).is_file()


def test_nothing_half_and_no_pickle_is_left(phantom_run):
    names = [path.name for path in phantom_run.folder.rglob("*")]
    assert not [
        name for name in names if name.startswith(".") or name.endswith((".pt", ".pth", ".pkl", ".ckpt"))
    ]
    assert not list(phantom_run.folder.rglob("state.safetensors"))


def test_every_case_is_predicted_once_out_of_fold(phantom_run, phantom_study):
    images = {path.stem for path in (phantom_study / "train" / "Original_0.2").iterdir()}
    for target in phantom_run.plan.data.outputs:
        found = list((phantom_run.predictions / "masks" / target).iterdir())
        assert {path.stem for path in found} == images
        assert {path.suffix for path in found} == {".png"}
    assert {path.stem for path in (phantom_run.predictions / "overlays").iterdir()} == images
    tested = [name for fold in phantom_run.splits.folds for name in fold.test]
    assert sorted(tested) == sorted(images)


def test_masks_are_lossless_and_of_the_image_s_size(phantom_run):
    for path in (phantom_run.predictions / "masks").rglob("*.png"):
        mask = np.asarray(Pillow.open(path))
        assert mask.shape == (96, 128)
        assert set(np.unique(mask)) <= {0, 255}


def test_no_group_is_on_both_sides_of_a_fold(phantom_run):
    group = {case.name: case.group for case in phantom_run.study.cases}
    assert len(set(group.values())) == 3
    for fold in phantom_run.splits.folds:
        assert not {group[name] for name in fold.train} & {group[name] for name in fold.test}


def test_the_plan_of_a_run_says_why(phantom_run):
    text = (phantom_run.folder / "plan.yaml").read_text()
    assert yaml.safe_load(text)["training"]["steps"] == 25
    assert re.search(r"^  downsample: \d+ +# .+", text, re.MULTILINE)


def test_the_manifest_tells_where_the_figures_come_from(phantom_run):
    manifest = phantom_run.manifest
    assert {"versions", "machine", "command", "started", "finished", "wall_s", "inputs"} <= set(manifest)
    assert manifest["versions"]["hilum"] == hilum.__version__
    assert len(manifest["inputs"]) == 18
    assert all(len(digest) == 32 for digest in manifest["inputs"].values())


def test_the_history_is_a_table(phantom_run):
    rows = pd.read_csv(phantom_run.fold(0) / "history.csv")
    assert {"step", "seconds", "loss", "lr", "dice_Parenchyma"} <= set(rows)
    assert rows.step.iloc[-1] == 25
    assert rows.loss.notna().all()


def test_the_weights_say_which_network_they_belong_to(phantom_run):
    tensors, notes = load_tensors(phantom_run.fold(0) / "model.safetensors")
    assert tensors
    assert json.loads(notes["network"])["name"] == phantom_run.plan.model.name


def test_the_measurements_are_a_csv_and_an_excel_table(phantom_run):
    rows = pd.read_csv(phantom_run.evaluation / "measurements.csv")
    assert len(rows) == 12
    assert {"case", "group", "target", "pixels", "share_percent", "area", "unit", "regions"} <= set(rows)
    sheets = pd.read_excel(phantom_run.evaluation / "measurements.xlsx", sheet_name=None)
    assert len(next(iter(sheets.values()))) == 12
    assert len(sheets) == 2


def test_the_report_needs_nothing_but_itself(phantom_run):
    page = (phantom_run.folder / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", page)
    assert "<script src" not in page
    assert "@import" not in page
    for words in ("Parenchyma", "SevereInflammation", "downsample", "25"):
        assert words in page
    assert phantom_run.study.cases[0].name in page


def test_a_run_opens_again_without_the_one_who_made_it(phantom_run):
    again = open_run(phantom_run.folder)
    assert again.plan == phantom_run.plan
    assert again.trained_folds() == [0, 1]
    assert again.study.targets == phantom_run.study.targets


def test_one_fold_alone_scores_its_own_cases(phantom_study, quick, tmp_path):
    run = hilum.train(phantom_study, tmp_path / "run", steps=2, folds=3, fold=1, settings=quick, device="cpu")
    assert run.trained_folds() == [1]
    cases = pd.read_csv(run.evaluation / "cases.csv")
    assert set(cases.case) == set(run.splits.folds[1].test)


def test_fixed_folds_are_kept(phantom_study, phantom_run, quick, tmp_path):
    groups = phantom_run.study.groups
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"by": "group", "test": [[groups[0]], list(groups[1:])]}))
    run = hilum.train(phantom_study, tmp_path / "run", steps=2, splits=splits, settings=quick, device="cpu")
    group = {case.name: case.group for case in run.study.cases}
    assert {group[name] for name in run.splits.folds[0].test} == {groups[0]}
    hilum.train(phantom_study, tmp_path / "run", splits=splits, resume=True)
    splits.write_text(json.dumps({"by": "group", "test": [[groups[1]], [groups[0], groups[2]]]}))
    with pytest.raises(RunError, match=r"splits\.json has other folds"):
        hilum.train(phantom_study, tmp_path / "run", splits=splits, resume=True)
    with pytest.raises(StudyError, match=r"--folds 3: .*splits\.json fixes 2 folds"):
        hilum.train(phantom_study, tmp_path / "new", splits=splits, folds=3)
    with pytest.raises(StudyError, match=r"--set data\.folds=3: .*splits\.json fixes 2 folds"):
        hilum.train(phantom_study, tmp_path / "new", splits=splits, settings=("data.folds=3",))


def test_a_run_can_start_from_the_weights_of_another(phantom_study, phantom_run, quick, tmp_path):
    settings = (*quick, "training.learning_rate=1e-12", "training.ema=0.0")
    start = {"steps": 1, "folds": 2, "fold": 0, "device": "cpu", "init": phantom_run.folder}
    run = hilum.train(phantom_study, tmp_path / "run", settings=settings, **start)
    mine = load_tensors(run.fold(0) / "model.safetensors")[0]
    theirs = load_tensors(phantom_run.fold(0) / "model.safetensors")[0]
    weights = [name for name in mine if name.endswith("weight") and mine[name].ndim == 4]
    assert weights
    assert all(abs(mine[name] - theirs[name]).max() < 1e-6 for name in weights)


def test_other_folds_start_from_the_same_weights_without_saying_so(
    phantom_study, phantom_run, quick, tmp_path
):
    out, other = tmp_path / "run", tmp_path / "other"
    settings = (*quick, "training.learning_rate=1e-12", "training.ema=0.0")
    start = {"steps": 1, "folds": 2, "device": "cpu", "settings": settings}
    hilum.train(phantom_study, out, fold=0, init=phantom_run.folder, **start)
    shutil.copytree(phantom_run.folder, other)
    with pytest.raises(RunError, match=r"was begun with --init .*other; leave that out"):
        hilum.train(phantom_study, out, fold=1, resume=True, init=other)
    run = hilum.train(phantom_study, out, fold=1, resume=True)
    mine = load_tensors(run.fold(1) / "model.safetensors")[0]
    theirs = load_tensors(phantom_run.fold(1) / "model.safetensors")[0]
    weights = [name for name in mine if name.endswith("weight") and mine[name].ndim == 4]
    assert weights
    assert all(abs(mine[name] - theirs[name]).max() < 1e-6 for name in weights)
    with pytest.raises(RunError, match="was begun without --init"):
        hilum.train(phantom_study, phantom_run.folder, resume=True, init=out)


def test_resuming_a_finished_run_changes_no_weight(phantom_study, quick, tmp_path):
    out = tmp_path / "run"
    hilum.train(phantom_study, out, steps=2, folds=2, settings=quick, device="cpu")
    before = (out / "fold-1" / "model.safetensors").read_bytes()
    (out / "report.html").unlink()
    hilum.train(phantom_study, out, resume=True)
    assert (out / "fold-1" / "model.safetensors").read_bytes() == before
    assert (out / "report.html").is_file()


def test_resuming_with_other_wishes_is_refused(phantom_study, quick, tmp_path):
    out = tmp_path / "run"
    begun = {"steps": 2, "folds": 2, "settings": quick, "device": "cpu"}
    hilum.train(phantom_study, out, **begun)
    hilum.train(phantom_study, out, resume=True, **begun)
    for wish in ({"steps": 50}, {"folds": 3}, {"minutes": 2.0}, {"settings": ("training.batch=2",)}):
        with pytest.raises(RunError, match=f"--{'set' if 'settings' in wish else next(iter(wish))} "):
            hilum.train(phantom_study, out, resume=True, **{**begun, **wish})
    with pytest.raises(StudyError, match="folds 0 to 1"):
        hilum.train(phantom_study, out, resume=True, fold=9)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"fold": 7}, StudyError, "folds 0 to"),
        ({"folds": 1}, StudyError, "at least 2 folds"),
        ({"settings": ("training.bach=1",)}, PlanError, "training.batch"),
        ({"recipe": "nonsense"}, PlanError, "neither a plan file"),
        ({"device": "tpu"}, PlanError, "auto, cpu or cuda"),
        ({"init": "nowhere"}, RunError, "is not a run"),
        ({"settings": ("model.name=nonet",)}, PlanError, "nonet"),
        ({"settings": ("training.loss=focal",)}, PlanError, "focal"),
        pytest.param(
            {"settings": ("training.device=cuda",)},
            PlanError,
            "say --device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card"),
        ),
    ],
)
def test_wrong_wishes_stop_before_anything_is_written(phantom_study, tmp_path, options, error, says):
    with pytest.raises(error, match=says):
        hilum.train(phantom_study, tmp_path / "run", **{"steps": 2, "device": "cpu", **options})
    assert not (tmp_path / "run").exists()


def test_a_run_of_other_cases_is_not_resumed(phantom_run, phantom_study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(phantom_study, other)
    gone = phantom_run.study.cases[0].name
    for path in (other / "train").rglob(f"{gone}.*"):
        path.unlink()
    run = tmp_path / "run"
    shutil.copytree(phantom_run.folder, run)
    with pytest.raises(RunError, match=gone):
        hilum.train(other, run, resume=True)


def test_a_fold_trained_anew_is_scored_by_its_new_network(phantom_study, quick, tmp_path):
    run = hilum.train(phantom_study, tmp_path / "run", steps=2, folds=2, settings=quick, device="cpu")
    name = run.splits.folds[0].test[0]
    answer, other = (
        run.evaluation / "probabilities" / f"{case}.npz" for case in (name, run.splits.folds[1].test[0])
    )
    right, untouched = answer.read_bytes(), other.stat().st_mtime_ns
    answer.write_bytes(other.read_bytes())
    (run.fold(0) / "model.safetensors").unlink()
    hilum.train(phantom_study, tmp_path / "run", resume=True)
    assert answer.read_bytes() == right
    assert other.stat().st_mtime_ns == untouched


def test_a_study_of_one_image_is_trained_and_reported_without_scores(tmp_path, quick, disc, caplog):
    for folder in ("images", "disc"):
        (tmp_path / "study" / folder).mkdir(parents=True)
        Pillow.fromarray(disc() * np.uint8(255)).save(tmp_path / "study" / folder / "only.png")
    run = hilum.train(tmp_path / "study", tmp_path / "run", steps=2, settings=quick, device="cpu")
    assert "no scores: one image only" in caplog.text
    assert (run.folder / "report.html").is_file()
    hilum.train(tmp_path / "study", tmp_path / "run", resume=True)


def test_images_that_the_initial_network_has_seen_are_known_under_other_names(phantom_run, phantom_study):
    study = open_study(phantom_study)
    renamed = replace(study, cases=tuple(replace(case, name=f"new/{case.name}") for case in study.cases))
    every = tuple(renamed.by_name)
    splits = Splits("given", (Fold(train=(), val=(), test=every),), "all are scored")
    assert seen_before(Options(init=phantom_run.folder), renamed, splits) == [*every]
    unseen = phantom_run.splits.folds[1].test
    fold = Fold(train=(), val=(), test=tuple(f"new/{name}" for name in unseen))
    assert seen_before(Options(init=phantom_run.folder), renamed, Splits("given", (fold,), "")) == []
    assert seen_before(Options(), renamed, splits) == []


def test_what_the_initial_network_has_seen_is_told_on_the_card_and_in_the_report(phantom_run, tmp_path):
    folder = shutil.copytree(phantom_run.folder, tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "init_seen": ["a", "b"]}))
    words = "(--init) may have"
    assert "learnt from 2 of the scored cases: these scores are too good" in model_card(Run(folder))
    page = hilum.report(folder).read_text("utf-8")
    assert page.count("(--init) may have learnt from 2 of the scored cases") == 2
    assert "saw neither it nor its group" not in page
    assert words not in model_card(phantom_run)
