import json
import math

import numpy as np
import pandas as pd
import pytest

import hilum
from hilum.errors import RunError
from hilum.phantoms.make import make_phantom
from hilum.scoring.segmentation import case_scores
from hilum.tasks.mask_quality import (
    QUALITY,
    add_quality,
    expected_dices,
    final_quality,
    fit_masks,
    foretold,
)
from hilum.training.run import open_run

QUICK = ("training.threads=1", "model.settings={width: 4, depth: 2, stem: 2}", "scoring.bootstrap=20")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    study = make_phantom("histology", folder / "study", cases=10, size=(96, 96), seed=1)
    return hilum.train(study, folder / "run", steps=40, folds=2, settings=QUICK, device="cpu")


def scored(dice, fold=0, group="g", case="c"):
    """A case whose mask has about this Dice."""
    truth, mask = (np.zeros((1, 40, 40), bool) for _ in range(2))
    truth[0, :20] = True
    mask[0, round(20 * (1 - dice)) : round(20 * (1 - dice)) + 20] = True
    (score,) = case_scores(
        mask.astype(np.float32), truth, ["t"], case=case, group=group, fold=fold, decision=mask
    )
    return score


def test_masks_of_a_single_fold_are_foretold_by_the_other_groups():
    scores = [scored(d, group=g, case=f"{g}{d}") for g in "abc" for d in (0.5, 0.6, 0.7, 0.8, 0.9)]
    expected = {(one.case, "t"): one.dice for one in scores if one.group != "c"}
    expected |= {(one.case, "t"): 1.4 - one.dice for one in scores if one.group == "c"}
    fits, told = fit_masks(scores, expected)
    assert fits["t"].cases == 15
    right = [told[one.case, "t"].dice - one.dice for one in scores if one.group == "c"]
    assert np.abs(right).max() > 0.25
    assert told["c0.5", "t"].dice > 0.85


def test_false_masks_teach_that_their_dice_is_nothing():
    scores = [scored(d, case=f"true{d}") for d in np.linspace(0.8, 0.95, 10)]
    scores += [false_mask(f"false{n}") for n in range(10)]
    expected = {(one.case, "t"): 0.9 if one.case.startswith("true") else 0.3 for one in scores}
    fits, told = fit_masks(scores, expected)
    assert fits["t"].cases == 20
    assert told["false0", "t"].dice < 0.1
    assert told["false0", "t"].word == "check"
    assert told["true0.95", "t"].word == "good"


def false_mask(case):
    mask = np.zeros((1, 40, 40), bool)
    mask[0, :5] = True
    nothing = np.zeros_like(mask)
    return case_scores(mask.astype(np.float32), nothing, ["t"], case=case, group="g", decision=mask)[0]


def test_masks_more_wrong_than_right_are_never_good():
    scores = [scored(d, case=str(d)) for d in np.linspace(0.05, 0.15, 10)]
    _, told = fit_masks(scores, {(one.case, "t"): one.dice for one in scores})
    assert {one.word for one in told.values()} == {"check"}


def test_empty_masks_teach_nothing():
    scores = [scored(d, case=str(d)) for d in np.linspace(0.5, 0.95, 10)]
    expected = {(one.case, "t"): one.dice for one in scores}
    expected[scores[0].case, "t"] = math.nan
    fits, told = fit_masks(scores, expected)
    assert fits["t"].cases == 9
    assert told[scores[0].case, "t"].word == "empty"


def test_a_run_says_of_each_mask_what_to_expect(run):
    found = run.summary()["targets"]["Parenchyma"]["quality"]
    # Empty where what is foretold ranks nothing, which a run as short as this may find.
    words = {"good", "check"} if found["rank_correlation"] > 0 else {"", "check"}
    for folder, name in ((run.evaluation, "cases.csv"), (run.evaluation, "measurements.csv")):
        table = pd.read_csv(folder / name)
        assert {"predicted_dice", "predicted_dice_error", "quality"} <= set(table.columns)
        known = table[table.target == "Parenchyma"]
        assert known.predicted_dice.between(0, 1).all()
        assert set(known.quality.fillna("")) <= words
    assert found["cases"] == 10
    assert found["error"] < 0.5
    assert "Foretold Dice" in (run.folder / "report.html").read_text("utf-8")


def test_new_images_get_the_same_columns(run, tmp_path):
    hilum.predict(run.folder, run.folder.parent / "study" / "pred", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "measurements.csv")
    known = table[(table.target == "Parenchyma") & (table.pixels > 0)]
    assert len(known)
    assert known.predicted_dice.notna().all()
    assert known.predicted_dice_error.nunique() == 1


def test_expected_dice_is_taken_from_bytes():
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    values = np.where(mask, 255, 0).astype(np.uint8)[None]
    assert expected_dices("a", {"t": mask}, values) == {("a", "t"): 1.0}


def test_rows_of_unknown_targets_stay_as_they_are(run):
    rows = [{"case": "a", "target": "t"}]
    add_quality(rows, foretold(final_quality(run), {("a", "t"): 0.5}))
    assert rows == [{"case": "a", "target": "t"}]


@pytest.mark.parametrize("content", [[], {"t": {}}, {"t": {"expected": [1], "dice": []}}, {"t": 3}])
def test_a_damaged_file_is_told(run, tmp_path, content):
    whole = (run.evaluation / QUALITY).read_text()
    try:
        (run.evaluation / QUALITY).write_text(json.dumps(content))
        with pytest.raises(RunError, match=r"quality\.json"):
            final_quality(open_run(run.folder))
    finally:
        (run.evaluation / QUALITY).write_text(whole)
