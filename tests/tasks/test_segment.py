import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Pillow
from torch.nn import functional as F

import hilum
from hilum import tasks
from hilum.errors import PlanError, RunError
from hilum.image.image import Image
from hilum.image.readers import read_image
from hilum.inference.keeping import keep, kept
from hilum.inference.predictor import enlarged
from hilum.planning.document import read_plan, write_plan
from hilum.planning.plan import DataPlan, Plan
from hilum.scoring.quality import expected_dice
from hilum.scoring.thresholds import Own, cut_to_json
from hilum.study.masks import read_masks
from hilum.study.survey import survey_study
from hilum.tasks.mask_decisions import WORTH_FITTING, cuts_of, final_thresholds
from hilum.tasks.mask_files import area_text, display_plane
from hilum.tasks.segment import SEGMENT
from hilum.training.batches import Batch
from hilum.training.run import open_run


def test_the_task_is_found_by_what_a_study_carries(phantom_run):
    assert tasks.find_task(phantom_run.study) is SEGMENT
    assert tasks.get_task("segment") is SEGMENT
    with pytest.raises(PlanError, match="segment"):
        tasks.get_task("segmnt")


def test_the_running_dice_by_hand():
    plan = Plan(data=DataPlan(outputs=["a", "b"]))
    probability = torch.zeros(1, 2, 2, 4)
    probability[0, 0, 0, :] = 0.9
    y = torch.zeros(1, 2, 2, 4)
    y[0, 0, :, :2] = 1
    ones = torch.ones(1, 2)
    found = SEGMENT.measure(probability, Batch(probability, y, ones, torch.ones(1)), plan)
    assert found["dice_a"] == pytest.approx(2 * 2 / 8)
    assert math.isnan(found["dice_b"])


def test_images_without_an_annotation_of_a_target_do_not_count_for_it():
    """Two images, both with what was found in all pixels; the second was never annotated for target b."""
    plan = Plan(data=DataPlan(outputs=["a", "b"]))
    probability, y = torch.ones(2, 2, 4, 4), torch.ones(2, 2, 4, 4)
    y[1, 1] = 0
    known = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    found = SEGMENT.measure(probability, Batch(probability, y, known, torch.ones(2)), plan)
    assert found == {"dice_a": 1.0, "dice_b": 1.0}
    known[0, 1] = 0
    found = SEGMENT.measure(probability, Batch(probability, y, known, torch.ones(2)), plan)
    assert math.isnan(found["dice_b"])


def test_balance_is_the_area_of_each_target(phantom_run):
    study = phantom_run.study
    areas = SEGMENT.balance(study, survey_study(study).facts)
    case = study.cases[0]
    masks, _ = read_masks(case, study.targets, (96, 128))
    assert areas[case.name] == masks.sum((1, 2)).tolist()
    assert set(areas) == {case.name for case in study.cases}


def test_a_sample_is_the_image_with_the_share_of_each_target(phantom_run):
    study, plan = phantom_run.study, phantom_run.plan
    case = study.cases[0]
    (sample,) = SEGMENT.samples(case, read_image(case.image.path), plan)
    masks, _ = read_masks(case, study.targets, (96, 128))
    assert sample.channels == plan.data.channels
    assert len(sample.stack) == plan.data.channels + len(study.targets)
    factor = plan.data.downsample**2
    assert sample.stack[sample.channels :].sum((1, 2)).tolist() == pytest.approx(
        (masks.sum((1, 2)) / factor).tolist(), rel=0.02
    )


def test_masks_are_the_probabilities_cut_at_the_threshold_of_their_row(phantom_run):
    """What is on disk follows from what was kept: decided again by hand, it is the same to the pixel."""
    rows = pd.read_csv(phantom_run.evaluation / "cases.csv")
    for row in rows.itertuples():
        kept_map = kept(phantom_run.evaluation / "probabilities", row.case)
        full = enlarged(kept_map, (96, 128))[phantom_run.plan.data.outputs.index(row.target)]
        mask = np.asarray(Pillow.open(phantom_run.predictions / "masks" / row.target / f"{row.case}.png")) > 0
        assert mask.sum() == row.predicted_pixels
        if mask.any():
            assert (mask == (full >= row.threshold * 255)).all()


def test_scores_are_those_of_the_masks_on_disk(phantom_run):
    study = phantom_run.study
    rows = pd.read_csv(phantom_run.evaluation / "cases.csv")
    assert len(rows) == len(study.cases) * len(study.targets)
    for case in study.cases:
        truth, _ = read_masks(case, study.targets, (96, 128))
        for target, true in zip(study.targets, truth, strict=True):
            (row,) = rows[(rows.case == case.name) & (rows.target == target)].to_dict("records")
            found = (
                np.asarray(Pillow.open(phantom_run.predictions / "masks" / target / f"{case.name}.png")) > 0
            )
            assert row["truth_pixels"] == true.sum()
            assert row["fold"] == next(
                k for k, f in enumerate(phantom_run.splits.folds) if case.name in f.test
            )
            if true.any():
                assert row["dice"] == pytest.approx(
                    2 * (found & true).sum() / (found.sum() + true.sum()), abs=1e-6
                )


def test_thresholds_for_new_images_are_what_scored_best_out_of_fold(phantom_run):
    summary = phantom_run.summary()["targets"]
    found = dict(zip(phantom_run.plan.data.outputs, final_thresholds(phantom_run), strict=True))
    for target, threshold in found.items():
        fit = summary[target]["fitted"]
        assert cut_to_json(threshold) == fit["threshold"]
        own = {"image": Own(), "tempered": Own(fit["temperature"], fit["background"])}
        assert threshold == {"fitted": fit["best_threshold"], "half": 0.5, **own}[fit["choice"]]
        reached = {
            "half": fit["dice_at_half"],
            "fitted": fit["dice_fitted"],
            "image": fit["dice_by_image"],
            "tempered": fit["dice_tempered"],
        }
        assert reached[fit["choice"]] >= max(reached.values()) - WORTH_FITTING
        assert summary[target]["dice"]["mean"] == pytest.approx(reached[fit["choice"]], abs=1e-6)


@pytest.mark.parametrize(("wanted", "expected"), [(0.3, [0.3, 0.3]), ("image", [Own(), Own()])])
def test_a_threshold_that_is_asked_for_is_kept(phantom_run, wanted, expected):
    plan = phantom_run.plan.model_copy(deep=True)
    plan.scoring.threshold = wanted

    class Fixed:
        evaluation = phantom_run.evaluation

    Fixed.plan = plan
    assert final_thresholds(Fixed) == expected


@pytest.fixture(scope="module")
def image_run(phantom_run, tmp_path_factory):
    """The phantom run with surer and less sure answers, scored again with a threshold for each image."""
    folder = tmp_path_factory.mktemp("image-run") / "run"
    shutil.copytree(phantom_run.folder, folder)
    rng = np.random.default_rng(0)
    for number, case in enumerate(phantom_run.study.cases):
        before = kept(folder / "evaluation" / "probabilities", case.name)
        truth = torch.from_numpy(read_masks(case, phantom_run.study.targets, (96, 128))[0]).float()
        shares = F.interpolate(truth[None], before.shape[1:], mode="area")[0].numpy()
        sure = 0.3 + 0.1 * number
        keep(
            folder / "evaluation" / "probabilities",
            case.name,
            rng.beta(1 + 8 * sure * shares, 2).astype(np.float32),
        )
    plan = read_plan(folder / "plan.yaml")
    plan.scoring.threshold = "image"
    write_plan(plan, folder / "plan.yaml")
    hilum.evaluate(folder)
    hilum.report(folder)
    return open_run(folder)


def test_every_image_may_have_its_own_threshold(image_run):
    rows = pd.read_csv(image_run.evaluation / "cases.csv")
    assert rows.threshold.nunique() > 1
    assert final_thresholds(image_run) == [Own(), Own()]
    summary = image_run.summary()["targets"]["Parenchyma"]
    assert summary["fitted"]["choice"] == "image"
    assert summary["threshold"]["lowest"] < summary["threshold"]["highest"] < 1
    for row in rows.itertuples():
        own = kept(image_run.evaluation / "probabilities", row.case)[
            image_run.plan.data.outputs.index(row.target)
        ]
        dice = [expected_dice(own, own >= level, 255) for level in range(26, 256)]
        assert row.threshold == pytest.approx((26 + int(np.nanargmax(dice)) - 0.5) / 255)


def test_the_report_says_that_the_scores_chose_the_kind_of_threshold(phantom_run, image_run):
    told = "These scores also decided which kind is used, which flatters them a little."
    assert told in (phantom_run.folder / "report.html").read_text(encoding="utf-8")
    assert told not in (image_run.folder / "report.html").read_text(encoding="utf-8")


def test_levels_are_counted_only_for_images_with_their_own_threshold():
    def never():
        raise AssertionError("counted")

    assert cuts_of([0.5, 0.2], never) == [0.5, 0.2]
    counts = np.stack([np.bincount([0] * 90 + [77] * 10, minlength=256)] * 2)
    assert cuts_of([0.5, Own()], lambda: counts) == [0.5, 0.1]


def test_a_damaged_file_of_thresholds_is_named(image_run, tmp_path):
    class Damaged:
        evaluation, plan = tmp_path, image_run.plan.model_copy(deep=True)

    Damaged.plan.scoring.threshold = "fit"
    (tmp_path / "thresholds.json").write_text('{"Parenchyma": {"heat": 1}}')
    with pytest.raises(RunError, match=r"thresholds\.json: is not what hilum evaluate writes"):
        final_thresholds(Damaged)


def test_new_images_have_their_own_thresholds_too(image_run, phantom_study, tmp_path):
    """Small or huge, one by one: the images the run was scored on, predicted by all folds."""
    images = sorted((phantom_study / "pred" / "Original_0.2").iterdir())
    done = hilum.predict(image_run.folder, images, tmp_path / "small", device="cpu")
    table = pd.read_csv(done.out / "measurements.csv")
    other = hilum.predict(image_run.folder, images[-1:], tmp_path / "one", device="cpu")
    alone = pd.read_csv(other.out / "measurements.csv")
    assert table[table.case == images[-1].stem].area.tolist() == alone.area.tolist()
    assert "each image" in (image_run.folder / "report.html").read_text()


def test_the_summary_holds_what_its_readers_expect(phantom_run):
    summary = json.loads((phantom_run.evaluation / "summary.json").read_text())
    assert set(summary["targets"]) == set(phantom_run.plan.data.outputs)
    dice = summary["targets"]["Parenchyma"]["dice"]
    assert set(dice) >= {"mean", "pooled", "interval", "cases"}
    assert dice["cases"] == 6
    assert 0 <= dice["interval"][0] <= dice["mean"] <= dice["interval"][1] <= 1


def test_areas_are_shown_with_their_unit():
    row = {"area": 1234.5, "unit": "µm²", "share_percent": 12.345}
    assert area_text(row) == "1,234 µm² (12.3 %)"
    assert area_text({"area": 12.0, "unit": "px", "share_percent": 0.0}) == "12 px (0.0 %)"
    assert area_text({"area": 0.01234, "unit": "mm²", "share_percent": 1.0}) == "0.01234 mm² (1.0 %)"


def test_of_a_volume_the_fullest_slice_is_shown(disc):
    mask = np.zeros((5, 64, 64), bool)
    mask[3], mask[1] = disc(), disc(radius=4)
    image = Image(np.zeros((1, 5, 64, 64), np.int16))
    picture, planes = display_plane(image, {"it": mask})
    assert picture.shape == (64, 64, 3)
    assert (planes["it"] == mask[3]).all()
    _, empty = display_plane(image, {"it": np.zeros_like(mask)})
    assert not empty["it"].any()


def test_the_rule_tells_how_masks_are_cut_and_calls_no_text_a_temperature(tmp_path):
    """A temperature in the rule of another task is a number."""
    plan = Plan()
    plan.data.outputs = ["a"]
    rule = SEGMENT.rule(SimpleNamespace(plan=plan, evaluation=tmp_path))
    assert "highest expected Dice" in rule["how_cut"]
    assert "temperature" not in rule
