import json
import math

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.scoring.classification import class_report, confusion, summarise_classification
from hilum.scoring.operating_point import at_threshold, operating_point

CLASSES = ("NORMAL", "PNEUMONIA")


def test_hand_worked_binary():
    """Eight cases: tp 3, fn 1, tn 2, fp 2 at one half."""
    probability = [0.9, 0.8, 0.7, 0.4, 0.6, 0.55, 0.3, 0.1]
    label = [1, 1, 1, 1, 0, 0, 0, 0]
    found = summarise_classification(probability, label, CLASSES, samples=100)
    assert found["accuracy"]["value"] == pytest.approx(5 / 8)
    assert found["recall"]["value"] == pytest.approx(3 / 4)
    assert found["specificity"]["value"] == pytest.approx(1 / 2)
    assert found["precision"]["value"] == pytest.approx(3 / 5)
    assert found["f1"]["value"] == pytest.approx(6 / 9)
    assert found["balanced_accuracy"]["value"] == pytest.approx(5 / 8)
    assert found["auc"]["value"] == pytest.approx(14 / 16)  # 0.4 is below two of the negatives
    assert found["auc"]["cases"] == 8
    assert found["confusion"]["matrix"] == [[2, 2], [1, 3]]
    assert found["per_class"]["NORMAL"]["support"] == 4
    assert found["operating_point"] == {
        "rule": "fixed", "threshold": 0.5, "sensitivity": 0.75, "specificity": 0.5
    }  # fmt: skip
    json.dumps(found)


def test_all_ways_to_say_the_same():
    generator = np.random.default_rng(0)
    positive, label = generator.random(40), generator.integers(0, 2, 40)
    both, one_hot = np.stack((1 - positive, positive), 1), np.eye(2)[label]
    found = [
        summarise_classification(probabilities, labels, CLASSES, samples=50)
        for probabilities in (positive, positive[:, None], both)
        for labels in (label, one_hot)
    ]
    assert all(other == found[0] for other in found[1:])


def test_operating_point_keeps_what_it_was_chosen_on():
    generator = np.random.default_rng(1)
    label = generator.integers(0, 2, 80)
    probability = np.clip(0.3 * label + 0.7 * generator.random(80), 0, 1)
    point = operating_point(probability[:40], label[:40], "min-sensitivity=0.95")
    found = summarise_classification(probability[40:], label[40:], CLASSES, point=point, samples=50)
    here = at_threshold(probability[40:], label[40:], point.threshold)
    stated = found["operating_point"]
    assert stated["threshold"] == point.threshold
    assert stated["rule"] == "min-sensitivity=0.95"
    assert stated["sensitivity"] == pytest.approx(here.sensitivity)
    assert stated["specificity"] == pytest.approx(here.specificity)
    assert stated["chosen_on"]["cases"] == 40
    assert stated["chosen_on"]["sensitivity"] >= 0.95


def test_thresholds_case_by_case():
    found = summarise_classification(
        [0.4, 0.4, 0.6, 0.6], [1, 0, 1, 0], CLASSES, thresholds=[0.3, 0.5, 0.3, 0.7], samples=20
    )
    assert found["accuracy"]["value"] == 1
    assert found["operating_point"]["lowest"] == 0.3
    assert "out of fold" in found["operating_point"]["rule"]


def test_patients_widen_the_interval():
    generator = np.random.default_rng(2)
    label = np.repeat(generator.integers(0, 2, 15), 10)
    noise = np.repeat(generator.random(15), 10)
    probability = np.clip(0.2 * label + 0.8 * noise, 0, 1)
    patients = np.repeat(np.arange(15), 10)
    apart = summarise_classification(probability, label, CLASSES)["auc"]["interval"]
    together = summarise_classification(probability, label, CLASSES, groups=patients)["auc"]["interval"]
    assert together[1] - together[0] > 1.5 * (apart[1] - apart[0])


def test_unknown_labels_are_left_out():
    full = summarise_classification([0.9, 0.2, 0.7], [1, 0, 0], CLASSES, groups=["a", "b", "c"], samples=50)
    more = summarise_classification(
        [0.9, 0.5, 0.2, 0.7], [1, math.nan, 0, 0], CLASSES, groups=["a", "x", "b", "c"], samples=50
    )
    assert more == full


def test_three_classes():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
    found = summarise_classification(probabilities, [0, 1, 2, 2], ("a", "b", "c"), samples=50)
    assert found["accuracy"]["value"] == 0.75
    assert found["recall"]["value"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["operating_point"] == {"rule": "highest probability"}
    assert found["confusion"]["matrix"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_multi_label_with_unknown_labels():
    probabilities = np.array([[0.9, 0.2], [0.3, 0.8], [0.6, 0.4], [0.1, 0.7]])
    labels = np.array([[1, 0], [0, np.nan], [0, 1], [np.nan, 1]])
    found = summarise_classification(probabilities, labels, ("x", "y"), exclusive=False, samples=50)
    assert found["classes"]["x"]["auc"] == {"value": 1.0, "interval": [1.0, 1.0], "cases": 3}
    assert found["classes"]["x"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["classes"]["y"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["auc"]["cases"] == 4
    assert found["classes"]["y"]["support"] == 2


def test_a_class_without_a_known_label_does_not_take_the_others_with_it(caplog):
    probabilities = np.array([[0.9, 0.5, 0.2], [0.3, 0.5, 0.8], [0.6, 0.5, 0.4], [0.1, 0.5, 0.7]])
    labels = np.array([[1, np.nan, 0], [0, np.nan, 1], [0, np.nan, 1], [1, np.nan, 1]])
    found = summarise_classification(probabilities, labels, ("x", "c", "y"), exclusive=False, samples=50)
    without = summarise_classification(
        probabilities[:, [0, 2]], labels[:, [0, 2]], ("x", "y"), exclusive=False, samples=50
    )
    assert list(found["classes"]) == ["x", "y"]
    assert found["classes_left_out"] == ["c"]
    assert "no case has a known label of c" in caplog.text
    assert "classes_left_out" not in without
    told = ("operating_point", "classes_left_out")
    assert {key: value for key, value in found.items() if key not in told} == {
        key: value for key, value in without.items() if key not in told
    }
    json.dumps(found)


def test_without_any_known_label_nothing_is_scored():
    with pytest.raises(HilumError, match="no case has a known label"):
        summarise_classification([[0.5, 0.5]], [[math.nan] * 2], ("x", "y"), exclusive=False, samples=5)


def test_report_and_confusion_agree_with_scikit_learn():
    from sklearn.metrics import classification_report

    generator = np.random.default_rng(0)
    label, called = generator.integers(0, 3, (2, 50))
    names = ["a", "b", "c"]
    expected = classification_report(label, called, target_names=names, output_dict=True)
    found = class_report(label, called, names)
    for name in names:
        assert found[name]["precision"] == pytest.approx(expected[name]["precision"])
        assert found[name]["f1"] == pytest.approx(expected[name]["f1-score"])
        assert found[name]["support"] == expected[name]["support"]
    assert np.sum(confusion(label, called, names)["matrix"]) == 50


def test_one_class_among_the_cases():
    found = summarise_classification([0.4, 0.8], [1, 1], CLASSES, samples=20)
    assert math.isnan(found["auc"]["value"])
    assert found["accuracy"]["value"] == 0.5


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.5, 0.5], [1], "2 probabilities, 1 labels"),
        ([1.5], [1], "not within"),
        ([math.nan], [1], "not within"),
        ([0.5], [2], "not indices"),
        ([0.5], [math.nan], "no case"),
        ([[0.5, 0.2, 0.3]], [1], "3 probabilities a case for 2 classes"),
        ([[0.5, 0.5]], [[1, 1]], "exactly one"),
    ],
)
def test_errors(probabilities, labels, message):
    with pytest.raises(HilumError, match=message):
        summarise_classification(probabilities, labels, CLASSES)


def test_a_class_that_is_never_called_has_no_precision_to_gain_by():
    """Against scikit-learn, which counts it as 0 too."""
    from sklearn.metrics import precision_score

    label = np.repeat([0, 1, 2], 5)
    called = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1])
    found = summarise_classification(np.eye(3)[called], label, ("a", "b", "c"), samples=20)
    wanted = precision_score(label, called, average="macro", zero_division=0)
    assert found["precision"]["value"] == pytest.approx(wanted)


def test_groups_without_a_known_label_are_not_counted():
    labels = np.full((40, 2), np.nan)
    labels[:10] = np.tile([[0.0, 1.0], [1.0, 0.0]], (5, 1))
    values = np.full((40, 2), 0.5)
    found = summarise_classification(
        values, labels, ("a", "b"), exclusive=False, samples=20, rules=["youden", "fixed"]
    )
    assert found["groups"] == found["auc"]["cases"] == 10
    assert found["classes"]["a"]["operating_point"]["rule"] == "youden"
