import csv
import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image as Pillow

import hilum
from hilum import tasks
from hilum.errors import StudyError
from hilum.exchange.annotations import file_names
from hilum.image.image import Image
from hilum.planning.planner import Wishes, make_plan
from hilum.scoring.operating_point import OperatingPoint
from hilum.study.looked_for import ordered_classes
from hilum.study.names import common_folder
from hilum.study.open import open_study
from hilum.study.study import Case, Source
from hilum.tasks.classify import CLASSIFY, balanced_weights, final_decision
from hilum.tasks.decisions import (
    Decision,
    Outcome,
    by_class,
    calibrated,
    called,
    decision_from_json,
    labels_for,
    learn_decision,
    rule_of,
)
from hilum.tasks.label_files import file_of, summarise
from hilum.training.batches import Batch, draw_batch
from hilum.training.losses import Wanted, entropy
from hilum.training.run import open_run

QUICK = (
    "training.threads=1",
    "training.warmup=0",
    "training.learning_rate=0.01",
    "training.ema=0.8",
    "scoring.bootstrap=50",
    "model.settings={width: 4, blocks: [1, 1], stem: 2}",
)


def picture(path, bright, size=(24, 30), seed=0):
    """A grey picture with a disc in the middle that is bright or dark."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: size[0], : size[1]]
    inside = (rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2 < (min(size) / 4) ** 2
    grey = 120 + (60 if bright else -60) * inside + rng.normal(0, 12, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(path)


def class_folders(root, counts, splits=("",)):
    for split in splits:
        for place, (name, count) in enumerate(counts.items()):
            for index in range(count):
                path = root / split / name / f"{split}{name}{index}.png"
                picture(path, bright=place == len(counts) - 1, seed=hash((split, name, index)) % 1000)
    return root


@pytest.fixture(scope="module")
def folds_run(tmp_path_factory):
    """A small trained run over three folds of two classes."""
    root = tmp_path_factory.mktemp("classify")
    class_folders(root / "study", {"NORMAL": 9, "SICK": 15})
    return hilum.train(
        root / "study", root / "run", steps=25, folds=3, settings=(*QUICK, "scoring.threshold=fit")
    )


@pytest.fixture(scope="module")
def split_run(tmp_path_factory):
    """A small run on given train, val and test folders, operating point by sensitivity."""
    root = tmp_path_factory.mktemp("given")
    class_folders(root / "study", {"NORMAL": 8, "SICK": 12}, ("train", "val", "test"))
    settings = (*QUICK, "scoring.min_sensitivity=0.9")
    return hilum.train(root / "study", root / "run", steps=25, settings=settings)


def plan_of(study, *settings):
    return make_plan(study, Wishes(settings=settings), 3, "three").plan


def test_the_task_is_found_by_labels(folds_run):
    assert tasks.find_task(folds_run.study) is CLASSIFY
    assert folds_run.plan.task == "classify"


def test_two_classes_are_one_question_and_the_healthy_one_comes_first(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    study = open_study(class_folders(tmp_path / "a", {"malignant": 4, "normal": 4}))
    plan = plan_of(study)
    told = [record.levelname for record in caplog.records if "looked for: malignant" in record.message]
    assert told == ["INFO"]
    assert (plan.data.outputs, plan.model.activation) == (["malignant"], "sigmoid")
    assert ordered_classes(("abnormal", "normal")) == ("normal", "abnormal")
    assert ordered_classes(("cat", "dog")) == ("cat", "dog")


def test_three_classes_exclude_each_other(tmp_path):
    study = open_study(class_folders(tmp_path / "a", {"a": 4, "b": 4, "c": 4}))
    plan = plan_of(study)
    assert (plan.data.outputs, plan.model.activation) == (["a", "b", "c"], "softmax")


def test_small_images_keep_their_size_and_large_ones_get_one_size(tmp_path):
    small = plan_of(open_study(class_folders(tmp_path / "a", {"x": 4, "y": 4})))
    assert small.data.size == [24, 30]
    for name, size in (("NORMAL", (400, 480)), ("SICK", (200, 240))):
        for index in range(4):
            picture(tmp_path / "b" / name / f"{name}{index}.png", True, size, index)
    large = plan_of(open_study(tmp_path / "b"))
    assert max(large.data.size) == 224
    assert large.data.size[0] < large.data.size[1]
    assert "shortcut" in large.reasons["data.size"]


def test_less_time_means_smaller_images(tmp_path):
    for name in ("NORMAL", "SICK"):
        for index in range(30):
            picture(tmp_path / name / f"{name}{index}.png", True, (300, 300), index)
    study = open_study(tmp_path)
    hasty, slow = (
        make_plan(study, Wishes(minutes=minutes, device="cpu"), 3, "").plan for minutes in (0.1, 10)
    )
    assert hasty.data.size < slow.data.size == [224, 224]


def test_unknown_labels_are_masked_and_others_softened(folds_run):
    plan = folds_run.plan.model_copy(deep=True)
    plan.training.smoothing = 0.1
    image = Image(np.zeros((1, 24, 30), np.uint8))
    case = Case("a", Source(folds_run.folder), labels={"NORMAL": 0.0, "SICK": 1.0})
    (sample,) = CLASSIFY.samples(case, image, plan)
    assert sample.label.tolist() == pytest.approx([0.9])
    (unknown,) = CLASSIFY.samples(replace(case, labels={"SICK": math.nan}), image, plan)
    assert (unknown.known.tolist(), bool(torch.isfinite(unknown.label).all())) == ([0.0], True)


def test_classes_weigh_alike_whatever_their_frequency(folds_run):
    assert balanced_weights(25, 75) == pytest.approx((2, 2 / 3))
    image = Image(np.zeros((1, 24, 30), np.uint8))
    cases = [Case(str(i), Source(folds_run.folder), labels={"SICK": float(i < 3)}) for i in range(12)]
    samples = [sample for case in cases for sample in CLASSIFY.samples(case, image, folds_run.plan)]
    weights = CLASSIFY.class_weights(samples, folds_run.plan)
    assert np.array(weights).ravel().tolist() == pytest.approx([12 / 18, 2.0])
    y = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    wanted = Wanted(y, torch.ones(4, 1), torch.ones(4), torch.tensor([[4 / 6], [2.0]]), "sigmoid")
    assert float(entropy(torch.zeros(4, 1), wanted)) == pytest.approx(math.log(2))


def test_the_running_accuracy_and_auc_by_hand(folds_run):
    y, known = torch.tensor([[1.0], [0.0], [1.0], [0.0]]), torch.tensor([[1.0], [1.0], [1.0], [0.0]])
    probability = torch.tensor([[0.9], [0.4], [0.3], [0.99]])
    found = CLASSIFY.measure(probability, Batch(probability, y, known, torch.ones(4)), folds_run.plan)
    assert found == pytest.approx({"accuracy": 2 / 3, "auc": 0.5})


def test_the_summary_has_scores_with_intervals_and_the_operating_point(folds_run):
    summary = json.loads((folds_run.evaluation / "summary.json").read_text())
    assert set(summary["auc"]) == {"value", "interval", "cases"}
    assert summary["auc"]["cases"] == 24
    assert summary["auc"]["value"] > 0.9
    assert summary["operating_point"]["rule"] == "youden, out of fold"
    assert summary["confusion"]["classes"] == ["NORMAL", "SICK"]
    assert summary["per_class"]["NORMAL"]["support"] == 9
    assert 0.05 <= summary["calibration"]["temperature"] <= 20


def test_every_image_has_a_row(folds_run):
    rows = list(csv.DictReader((folds_run.evaluation / "cases.csv").open()))
    assert len(rows) == 24
    row = rows[0]
    assert {"file", "fold", "class", "label", "correct", "threshold"} <= set(row)
    assert float(row["calibrated_NORMAL"]) + float(row["calibrated_SICK"]) == pytest.approx(1, abs=1e-5)
    for row in rows:
        called_sick = float(row["calibrated_SICK"]) >= float(row["threshold"])
        assert row["class"] == ("SICK" if called_sick else "NORMAL")


def test_a_folds_decision_never_saw_its_own_images(folds_run):
    rows = list(csv.DictReader((folds_run.evaluation / "cases.csv").open()))
    by_fold = {}
    for row in rows:
        by_fold.setdefault(row["fold"], set()).add(row["threshold"])
    assert all(len(found) == 1 for found in by_fold.values())
    assert folds_run.summary()["calibration"]["learnt_on"] == 16


def test_given_validation_images_choose_and_test_images_only_score(split_run):
    summary = split_run.summary()
    point = summary["operating_point"]
    assert (point["rule"], point["chosen_on"]["cases"]) == ("min-sensitivity=0.9", 20)
    assert point["chosen_on"]["sensitivity"] >= 0.9
    assert summary["auc"]["cases"] == 20
    assert set(summary["validation"]) == {"auc", "accuracy", "recall", "specificity"}
    assert set(summary["youden"]) == {"recall", "specificity"}
    assert any("val_accuracy" in row and row["val_accuracy"] for row in split_run.history(0))
    rows = csv.DictReader((split_run.evaluation / "cases.csv").open())
    assert all(row["file"].startswith("test/") for row in rows)


def test_predict_writes_one_row_an_image_and_scores_where_labels_are(split_run, tmp_path):
    new = class_folders(tmp_path / "new", {"NORMAL": 3, "SICK": 5})
    done = hilum.predict(split_run.folder, new, tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert [row["file"] for row in rows][:1] == ["NORMAL/NORMAL0.png"]
    assert done.summary["accuracy"]["cases"] == 8
    assert {float(row["threshold"]) for row in rows} == {final_decision(split_run).points[0].threshold}
    bare = tmp_path / "bare"
    picture(bare / "a.png", True)
    hilum.predict(split_run.folder, bare / "a.png", tmp_path / "plain")
    (row,) = csv.DictReader((tmp_path / "plain" / "predictions.csv").open())
    assert "label" not in row


def test_the_report_shows_scores_mistakes_and_images(split_run):
    page = (split_run.folder / "report.html").read_text()
    for text in ("Operating point", "Mistakes", "Confusion matrix", "Shortcuts", "Validation accuracy"):
        assert text in page


def test_without_validation_a_part_is_held_back(tmp_path):
    class_folders(tmp_path / "study", {"NORMAL": 8, "SICK": 12}, ("train", "test"))
    run = hilum.train(tmp_path / "study", tmp_path / "run", steps=20, settings=QUICK)
    (fold,) = run.splits.folds
    assert (len(fold.train) + len(fold.val), len(fold.test)) == (20, 20)
    assert run.summary()["operating_point"]["chosen_on"]["cases"] == len(fold.val) == 5


def test_several_labels_with_unknown_ones(tmp_path):
    lines = ["image,effusion,mass"]
    for index in range(24):
        picture(tmp_path / f"i{index}.png", bright=index % 2 == 0, seed=index)
        lines.append(f"i{index}.png,{index % 2},{'' if index % 5 == 0 else int(index % 3 == 0)}")
    (tmp_path / "study.csv").write_text("\n".join(lines))
    run = hilum.train(tmp_path, tmp_path / "run", steps=20, folds=2, settings=QUICK)
    summary = run.summary()
    assert summary["classes"]["effusion"]["auc"]["cases"] == 24
    assert summary["classes"]["mass"]["auc"]["cases"] == 19
    rows = list(csv.DictReader((run.evaluation / "cases.csv").open()))
    assert {"calibrated_effusion", "calibrated_mass"} <= set(rows[0])
    assert {row["label_mass"] for row in rows} == {"0", "1", ""}
    known = [row for row in rows if row["label_mass"]]
    right = sum(row["called_mass"] == row["label_mass"] for row in known)
    assert right / len(known) == pytest.approx(summary["classes"]["mass"]["accuracy"]["value"])
    assert all((row["correct"] == "True") == _right(row) for row in rows)
    page = (run.folder / "report.html").read_text()
    assert "Classes" in page
    assert ("No case was decided wrongly" in page) == all(row["correct"] == "True" for row in rows)


def _right(row):
    pairs = [(row[f"called_{name}"], row[f"label_{name}"]) for name in ("effusion", "mass")]
    return all(called == label for called, label in pairs if label)


def test_labels_of_another_study_for_two_classes():
    plan = SimpleNamespace(
        data=SimpleNamespace(outputs=["sick"]), model=SimpleNamespace(activation="sigmoid")
    )

    def label(labels, classes=("normal", "sick")):
        return labels_for(Case("a", Source(None), labels=labels), plan, classes)[0]

    assert label({"normal": 1, "sick": 0}) == 0
    assert label({"normal": 0, "sick": 1, "other": 0}) == 1
    assert label({"normal": 1, "tumour": 0}) == 0, "the other of two classes is named"
    assert math.isnan(label({"normal": 0, "sick": 0, "other": 1})), "neither of the two"
    assert math.isnan(label({}))
    assert label({"sick": 0}) == 0
    assert label({"sick": 0, "cyst": 1}, ("no sick", "sick")) == 0


def test_three_classes_walk_the_road(tmp_path):
    class_folders(tmp_path / "study", {"a": 6, "b": 6, "c": 6})
    run = hilum.train(tmp_path / "study", tmp_path / "run", steps=20, folds=2, settings=QUICK)
    assert run.summary()["operating_point"] == {"rule": "highest probability"}
    assert np.array(run.summary()["confusion"]["matrix"]).shape == (3, 3)
    rows = list(csv.DictReader((run.evaluation / "cases.csv").open()))
    assert {row["class"] for row in rows} <= {"a", "b", "c"}


def test_the_classic_network_trains_on_a_few_images(tmp_path):
    class_folders(tmp_path / "study", {"NORMAL": 4, "PNEUMONIA": 8}, ("train", "test"))
    settings = ("training.epochs=2", "training.batch=4", "training.threads=1", "scoring.bootstrap=20")
    run = hilum.train(tmp_path / "study", tmp_path / "run", recipe="xray-cnn-2020", settings=settings)
    training = run.plan.training
    assert (training.schedule, training.plateau_factor, training.plateau_patience) == ("plateau", 0.625, 2)
    assert (training.stop_at, training.stop_loss, training.augment_share) == (0.95, 0.1, 0.25)
    assert run.plan.data.size == [300, 300]
    assert 0 <= run.summary()["accuracy"]["value"] <= 1
    weights = open_run(run.folder).fold(0) / "model.safetensors"
    assert weights.stat().st_size > 4 * 7_352_017


def outcome(probability, label, folds=None):
    cases = tuple(Case(str(i), Source(None), group=str(i)) for i in range(len(label)))
    place = np.zeros(len(label), np.intp) if folds is None else np.asarray(folds, np.intp)
    return Outcome(cases, place, np.array(probability, float)[:, None], np.array(label, float)[:, None])


def test_the_rule_comes_from_the_plan(folds_run):
    scoring = folds_run.plan.scoring.model_copy()
    assert rule_of(scoring) == "youden"
    scoring.cost = 5
    assert rule_of(scoring) == "cost=1:5"
    scoring.min_sensitivity = 0.99
    assert rule_of(scoring) == "min-sensitivity=0.99"


def test_a_decision_is_learnt_calibrated_and_kept(folds_run):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    logit = np.where(label == 1, 1, -1) + rng.normal(0, 1, 400)
    sure = 1 / (1 + np.exp(-5 * logit))
    decision = learn_decision(outcome(sure, label), folds_run.plan)
    assert decision.temperature > 1.5
    values = calibrated(sure[:, None], decision, folds_run.plan)
    assert np.abs(values - 0.5).max() < np.abs(sure - 0.5).max()
    assert called(values, decision, folds_run.plan).mean() == pytest.approx(0.5, abs=0.1)
    again = decision_from_json(json.loads(json.dumps(decision.to_json())))
    assert again == decision
    assert by_class(values, folds_run.plan).sum(1) == pytest.approx(1)


def test_a_perfect_validation_does_not_make_probabilities_certain(folds_run):
    label = np.arange(20) % 2
    decision = learn_decision(outcome(np.where(label, 0.9, 0.1), label), folds_run.plan)
    assert 0.3 < decision.temperature < 1.5


def test_nothing_held_out_means_one_half_and_says_so(folds_run):
    decision = learn_decision(None, folds_run.plan)
    assert decision.thresholds.tolist() == [0.5]
    assert "nothing was held out" in decision.points[0].rule
    one_class = learn_decision(outcome([0.2, 0.4], [1, 1]), folds_run.plan)
    assert one_class.thresholds.tolist() == [0.5]
    assert decision_from_json(decision.to_json()).points[0].cases == 0


def test_scores_use_each_folds_own_threshold(folds_run):
    found = outcome([0.3, 0.6, 0.4, 0.7], [0, 1, 1, 0], [0, 0, 1, 1])
    points = {fold: OperatingPoint("youden", cut, 1.0, 1.0, 2) for fold, cut in ((0, 0.5), (1, 0.35))}
    decisions = {fold: Decision(1.0, (point,), 2) for fold, point in points.items()}
    plan = folds_run.plan.model_copy(deep=True)
    plan.scoring.bootstrap = 0
    summary = summarise(found, decisions, plan, ("NORMAL", "SICK"))
    assert (summary["recall"]["value"], summary["specificity"]["value"]) == (1.0, 0.5)


def test_bad_folders_are_refused_with_everything_that_is_wrong(tmp_path):
    with pytest.raises(StudyError, match="one class only"):
        hilum.train(class_folders(tmp_path / "one", {"SICK": 5}), tmp_path / "run")
    few = class_folders(tmp_path / "few", {"NORMAL": 2, "SICK": 6})
    (few / "SICK" / "SICK0.png").write_bytes(b"not a picture")
    (few / "SICK" / "SICK1.png").write_bytes((few / "SICK" / "SICK2.png").read_bytes()[:100])
    with pytest.raises(StudyError) as error:
        hilum.train(few, tmp_path / "run")
    assert all(text in str(error.value) for text in ("SICK0.png", "SICK1.png", "class NORMAL: 2 images"))
    good = class_folders(tmp_path / "table", {"a": 3, "b": 3})
    (good / "study.csv").write_text("image,label\na/a0.png,a\nnone.png,b\nneither.png,a\n")
    with pytest.raises(StudyError, match=r"none\.png.*neither\.png"):
        hilum.train(good, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_planned_threshold_is_one_half_and_says_what_it_did_where_it_was_held_out(tmp_path):
    plan = plan_of(open_study(class_folders(tmp_path / "a", {"NORMAL": 4, "SICK": 4})))
    assert plan.scoring.threshold == 0.5
    decision = learn_decision(outcome([0.2, 0.6, 0.4, 0.9], [0, 0, 1, 1]), plan)
    point = decision.points[0]
    assert (point.threshold, point.sensitivity, point.specificity, point.cases) == (0.5, 0.5, 0.5, 4)


def test_a_folder_that_lacks_a_class_or_has_another_is_scored_on_what_is_known(tmp_path):
    class_folders(tmp_path / "study", {"a": 6, "b": 6, "c": 6})
    run = hilum.train(tmp_path / "study", tmp_path / "run", steps=20, folds=2, settings=QUICK)
    fewer = class_folders(tmp_path / "fewer", {"a": 3, "b": 4})
    assert hilum.predict(run.folder, fewer, tmp_path / "out").summary["accuracy"]["cases"] == 7
    other = class_folders(tmp_path / "other", {"a": 3, "b": 2, "unheard": 4})
    done = hilum.predict(run.folder, other, tmp_path / "more")
    assert (done.cases, done.summary["accuracy"]["cases"]) == (9, 5)


def test_labels_that_cannot_be_scored_do_not_stop_a_prediction(split_run, tmp_path, caplog):
    """All of one class: there is no AUC, and what there is to say is said."""
    new = class_folders(tmp_path / "new", {"SICK": 3, "NORMAL": 0})
    done = hilum.predict(split_run.folder, new, tmp_path / "out")
    assert done.cases == 3


def test_labelled_volumes_are_learnt_and_told_by_their_slices(tmp_path):
    for name, value, number in (("HEALTHY", 40, 6), ("SICK", 200, 6)):
        for index in range(number):
            rng = np.random.default_rng(index)
            volume = SimpleITK.GetImageFromArray(rng.normal(value, 30, (5, 24, 30)).astype(np.float32))
            (tmp_path / "study" / name).mkdir(parents=True, exist_ok=True)
            SimpleITK.WriteImage(volume, str(tmp_path / "study" / name / f"{name[0]}{index}.nii.gz"))
    settings = (*QUICK, "training.watch=true", "training.validation=0.2")
    run = hilum.train(tmp_path / "study", tmp_path / "run", steps=20, folds=2, settings=settings)
    assert run.summary()["accuracy"]["cases"] == 12
    held_back = {path.stem for path in (run.evaluation / "validation" / "fold-0").iterdir()}
    assert held_back == set(run.splits.folds[0].val)


def test_what_is_held_back_is_predicted_also_where_nobody_watches(tmp_path):
    class_folders(tmp_path / "study", {"NORMAL": 10, "SICK": 10})
    settings = (*QUICK, "training.watch=false", "training.validation=0.25")
    run = hilum.train(tmp_path / "study", tmp_path / "run", steps=20, folds=2, settings=settings)
    for index, fold in enumerate(run.splits.folds):
        assert fold.val
        answers = run.evaluation / "validation" / f"fold-{index}"
        assert {path.stem for path in answers.iterdir()} == set(fold.val)


def test_images_by_whole_and_by_relative_paths_have_a_common_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    near, far = (Case(name, Source(path)) for name, path in (("a", Path("a.png")), ("b", tmp_path / "b.png")))
    root = common_folder([near.image.path, far.image.path])
    assert root == tmp_path
    assert [file_of(case, root) for case in (near, far)] == ["a.png", "b.png"]


def test_images_on_several_drives_are_named_by_their_whole_paths(tmp_path, monkeypatch):
    def no_common(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", no_common)
    one, other = (Case(name, Source(tmp_path / name / "1.png")) for name in ("c", "d"))
    root = common_folder([one.image.path, other.image.path])
    whole = other.image.path.as_posix()
    assert [file_of(case, root) for case in (one, other)] == ["1.png", whole]
    assert file_names({"c/1": one.image.path, "d/1": other.image.path}) == {"c/1": "1.png", "d/1": whole}


def test_patch_and_network_follow_a_size_that_is_asked_for(tmp_path):
    """Else small images are mirrored into the patch that was planned for large ones."""
    for kind in ("no", "yes"):
        for index in range(4):
            picture(tmp_path / kind / f"{kind}{index}.png", kind == "yes", (200, 200), index)
    study = open_study(tmp_path)
    own = make_plan(study, Wishes(), 4, "").plan
    assert own.training.patch == own.data.size != [64, 64]
    small = make_plan(study, Wishes(settings=("data.size=[64, 64]",)), 4, "").plan
    assert (small.training.patch, small.training.whole) == ([64, 64], True)
    assert small.model.settings["stem"] == 2 < own.model.settings["stem"]
    free = make_plan(study, Wishes(settings=("data.size=null", "data.downsample=2")), 4, "").plan
    assert free.training.patch == [100, 100]


def test_small_images_of_several_shapes_are_not_said_to_be_kept(tmp_path):
    for index, size in enumerate([(40, 60), (60, 40)] * 4):
        kind = "yes" if index < 4 else "no"
        picture(tmp_path / kind / f"{index}.png", kind == "yes", size, index)
    plan = make_plan(open_study(tmp_path), Wishes(), 4, "").plan
    assert plan.reasons["data.size"] == "small images, all brought to 50 x 50, the median"


def test_exclusive_classes_share_the_doubt(folds_run):
    plan = folds_run.plan.model_copy(deep=True)
    plan.data.outputs, plan.model.activation, plan.training.smoothing = ["a", "b", "c"], "softmax", 0.1
    case = Case("a", Source(folds_run.folder), labels={"a": 0.0, "b": 1.0, "c": 0.0})
    (sample,) = CLASSIFY.samples(case, Image(np.zeros((1, 24, 30), np.uint8)), plan)
    assert sample.label.tolist() == pytest.approx([0.05, 0.9, 0.05])


def test_volumes_are_learnt_with_the_neighbours_of_their_slices(folds_run):
    plan = folds_run.plan.model_copy(deep=True)
    plan.data.neighbours, plan.training.patch = 1, plan.data.size
    case = Case("a", Source(folds_run.folder), labels={"SICK": 1.0})
    samples = CLASSIFY.samples(case, Image(np.zeros((1, 6, 24, 30), np.uint8)), plan)
    assert draw_batch(samples, plan.training, 0, 0).x.shape[1] == 3
