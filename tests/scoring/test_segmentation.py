import json
import math

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.scoring.segmentation import case_scores, summarise, to_record


def square(low, high):
    mask = np.zeros((10, 10), bool)
    mask[low:high, low:high] = True
    return mask


@pytest.fixture
def rows():
    """Three animals; "b" has no lesion and a false 3 x 3 patch, "c" has a lesion that nobody found."""
    truth = {"a": square(2, 6), "b": square(0, 0), "c": square(5, 9)}
    found = {"a": square(2, 5), "b": square(0, 3), "c": square(0, 0)}
    shared = {"targets": ["lesion"], "sizes": (0.5, 0.5), "unit": "mm"}
    return [
        row
        for name in truth
        for row in case_scores(found[name][None], truth[name][None], case=name, group=name, **shared)
    ]


def test_rows_by_hand(rows):
    a, b, c = rows
    assert (a.tp, a.fp, a.fn) == (9, 0, 7)
    assert a.dice == pytest.approx(18 / 25)
    # The 8 border pixels of the 3 x 3 square lie 0 (five) or 0.5 mm (three) from the 12 of the 4 x 4
    # square; of those five lie at 0, six at 0.5 mm and the far corner at sqrt(0.5) mm.
    forth, back = [0.0] * 5 + [0.5] * 3, [0.0] * 5 + [0.5] * 6 + [math.sqrt(0.5)]
    assert a.hd95 == pytest.approx(0.5 + 0.45 * (math.sqrt(0.5) - 0.5))
    assert a.msd == pytest.approx(sum(forth + back) / 20)
    assert b.empty
    assert b.dice == 0
    assert b.false_positive_share == pytest.approx(0.09)
    assert math.isnan(b.hd95)
    assert c.dice == 0
    assert math.isnan(c.precision)
    assert math.isnan(c.msd)


def test_summary_by_hand(rows):
    lesion = summarise(rows)["targets"]["lesion"]
    assert lesion["dice"]["mean"] == pytest.approx((18 / 25 + 0) / 2)
    assert lesion["dice"]["cases"] == 2
    assert lesion["dice"]["pooled"] == pytest.approx(2 * 9 / (2 * 9 + 9 + 23))
    assert lesion["dice"]["interval"] == pytest.approx([0, 0.72])
    assert lesion["recall"]["pooled"] == pytest.approx(9 / 32)
    assert lesion["precision"]["cases"] == 1  # nothing predicted in c
    assert lesion["hd95"]["cases"] == 1
    assert lesion["hd95"]["undefined"] == 1
    assert lesion["hd95"]["unit"] == "mm"
    assert lesion["empty"] == {"cases": 1, "false_positive_share": pytest.approx(0.09), "quiet": 0}
    assert lesion["threshold"] == 0.5
    assert set(lesion["dice_at"]) == {"0.2", "0.4", "0.6", "0.8"}
    json.dumps(lesion)


def test_probabilities_and_thresholds():
    truth = square(2, 6)
    probability = np.where(truth, 0.5, 0.3) + np.where(square(3, 5), 0.4, 0.0)
    stored = np.round(probability * 255).astype(np.uint8)
    for prediction in (probability, probability.astype(np.float32), stored):
        (row,) = case_scores(prediction[None], truth[None], ["t"], thresholds=[0.45])
        assert row.dice == 1
        assert row.dice_at[0.2] == pytest.approx(2 * 16 / (16 + 100))
        assert row.dice_at[0.4] == 1
        assert row.dice_at[0.8] == pytest.approx(2 * 4 / (4 + 16))


def test_a_target_nobody_marked_has_no_row():
    masks = np.zeros((2, 4, 4), bool)
    rows = case_scores(masks, masks, ["x", "y"], annotated=[False, True])
    assert [row.target for row in rows] == ["y"]


def test_decision_after_post_processing_counts():
    truth = square(2, 6)[None]
    (row,) = case_scores(np.full((1, 10, 10), 0.9), truth, ["t"], decision=truth)
    assert row.dice == 1
    assert row.dice_at[0.8] < 1


def test_volumes_are_scored_too():
    truth = np.zeros((1, 4, 6, 6), bool)
    truth[0, 1:3, 2:4, 2:4] = True
    (row,) = case_scores(np.roll(truth, 1, axis=1), truth, ["t"], sizes=(3, 1, 1), unit="mm")
    assert row.dice == pytest.approx(0.5)
    assert row.hd95 == pytest.approx(3.0)


def test_thresholds_of_folds_are_told():
    truth = square(2, 6)[None]
    rows = [
        row
        for fold, cut in enumerate((0.4, 0.6))
        for row in case_scores(truth.astype(float), truth, ["t"], thresholds=[cut], fold=fold)
    ]
    assert summarise(rows)["targets"]["t"]["threshold"] == {"0": 0.4, "1": 0.6}


def test_no_case_with_the_target():
    nothing = np.zeros((1, 4, 4), bool)
    rows = case_scores(nothing, nothing, ["t"])
    summary = summarise(rows)["targets"]["t"]
    assert math.isnan(summary["dice"]["mean"])
    assert summary["dice"]["cases"] == 0
    assert summary["empty"]["quiet"] == 1


def test_lines_of_the_table(rows):
    records = [to_record(row) for row in rows]
    assert [record["case"] for record in records] == ["a", "b", "c"]
    assert "dice_at_0.2" in records[0]


def test_shapes_must_fit():
    with pytest.raises(HilumError, match="targets"):
        case_scores(np.zeros((1, 4, 4)), np.zeros((2, 4, 4), bool), ["a", "b"])
